import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * What every part of the program may know about the request it works for, without being handed it: the id
 * (the logger adds it to each line) and the signal that ends the work (the database cancels its queries by it).
 * A background job runs in a context of its own, or in none.
 */
export interface RequestContext {
  /** The request's id, as the client sees it in `X-Request-ID`. */
  readonly id: string;
  /** Aborted when the client is gone or the deadline has passed. */
  readonly signal: WorkSignal;
}

/** What says that work is to end: an AbortSignal, or something lighter with the same names. */
export interface WorkSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` so that `currentRequest()` is `context` in it and in everything it starts. */
export function runInRequest<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** The request that the calling code works for, or undefined outside of any. */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}

/** Runs `work` so that its log lines have the id of the request that is current, and its end does not end the work. */
export function runBeyondRequest<T>(work: () => T): T {
  const request = currentRequest();
  return request === undefined ? work() : runInRequest({ id: request.id, signal: endless }, work);
}

const endless = new AbortController().signal;

/**
 * Runs `work` in no request, for what outlives the one that happens to start it: a look-up that others wait for too,
 * the undoing of work whose request has ended.
 */
export function runOutsideRequest<T>(work: () => T): T {
  return storage.exit(work);
}
