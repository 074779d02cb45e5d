import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceContext } from './trace-context.ts';

/**
 * The context of the current request, available to all code that runs for it without being passed along: the ids, which the
 * logger adds to each line, and the signal on which the database cancels queries. An attempt of a background job runs in a
 * context of its own.
 */
export interface RequestContext {
  /** The request's id, as the client sees it in `X-Request-ID`. */
  readonly id: string;
  /** Aborted when the client is gone or the deadline has passed. */
  readonly signal: WorkSignal;
  /** The span of the request, which log lines name, and outgoing requests and jobs pass on. */
  readonly trace?: TraceContext | undefined;
}

/** An AbortSignal, or a lighter object with the same members. */
export interface WorkSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  /** When the work must be done, in milliseconds of `performance.now()`; 0 or undefined if it has no deadline. */
  readonly deadlineAt?: number;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` so that `currentRequest()` is `context` in it and in everything it starts. */
export function runInRequest<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** Returns the request that the calling code runs for; undefined outside of a request. */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}

/** A request, or an attempt of a job, with its ids. */
export interface Identified {
  readonly id: string;
  readonly trace?: Pick<TraceContext, 'traceId' | 'spanId'> | undefined;
}

/** Returns the ids of a request as fields of a log line. */
export function idFields({ id, trace }: Identified): Record<string, string> {
  return trace === undefined
    ? { request_id: id }
    : { request_id: id, trace_id: trace.traceId, span_id: trace.spanId };
}

/** Returns the same as JSON text, `,"name":value` for each. The ids need no quoting. */
export function idJson({ id, trace }: Identified): string {
  return trace === undefined
    ? `,"request_id":"${id}"`
    : `,"request_id":"${id}","trace_id":"${trace.traceId}","span_id":"${trace.spanId}"`;
}

/** Runs `work` with the ids of the current request in its log lines, but without its signal: the work outlives the request. */
export function runBeyondRequest<T>(work: () => T): T {
  const request = currentRequest();
  return request === undefined ? work() : runInRequest({ ...request, signal: endless }, work);
}

const endless = new AbortController().signal;

/**
 * Runs `work` outside of the current request, for work that outlives it: a look-up that other requests share, or a rollback
 * after the request has ended.
 */
export function runOutsideRequest<T>(work: () => T): T {
  return storage.exit(work);
}
