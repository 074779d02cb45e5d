import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * What every part of the program may know about the request it works for, without being handed it: the id
 * (the logger adds it to each line) and the signal that ends the work (the database cancels its queries by it).
 * A background job runs in a context of its own, or in none.
 */
export interface RequestContext {
  /** The request's id, as the client sees it in `X-Request-ID`. */
  readonly id: string;
  /** Aborted when the client is gone or the deadline has passed. Created at its first reading: it costs. */
  readonly signal: AbortSignal;
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
