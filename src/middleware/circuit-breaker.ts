/**
 * Rejects the requests of a route with 503 and `Retry-After` while the route fails repeatedly, so that clients get their answer
 * at once, and the parts behind the route can recover. Each route has a circuit (resilience/circuit-breaker.ts).
 *
 *     status of the response     counts as
 *     below 400                  success
 *     400 to 499                 nothing: it shows nothing about the parts behind the route
 *     from 500, or the deadline  failure
 *
 * The layer runs behind authentication, limits and the reading of the body. So a trial is a request that the handler would
 * get: an anonymous request cannot close a circuit, and clients that send their bodies slowly cannot open one. Probes are
 * never rejected.
 */

import { AppError, type ErrorCode } from '../errors.ts';
import { type Failure, observe } from '../http/compose.ts';
import type { Context, Middleware, PreparedRoute } from '../http/context.ts';
import { statusOf } from '../http/problem.ts';
import type { CircuitSet } from '../observability/circuit-set.ts';
import type { CircuitBreaker } from '../resilience/circuit-breaker.ts';

export interface CircuitBreakerOptions {
  readonly circuits: CircuitSet;
  /** A monotonic clock, in milliseconds: the one of the circuits. */
  readonly now: () => number;
}

export function circuitBreaker({ circuits, now }: CircuitBreakerOptions): Middleware {
  const known = new Map<PreparedRoute, CircuitBreaker>();

  function breakerOf(prepared: PreparedRoute): CircuitBreaker {
    const found = known.get(prepared);
    if (found !== undefined) return found;
    const { method, path } = prepared.route;
    const made = circuits.create(`${method} ${path}`);
    known.set(prepared, made);
    return made;
  }

  return function circuitBreaker(ctx, next) {
    if (ctx.match.kind !== 'found' || ctx.isProbe) return next(ctx);
    const breaker = breakerOf(ctx.match.value);
    // The client determines how long an upload takes.
    const isUpload = ctx.match.value.route.upload !== undefined;
    const startedAt = now();
    const permit = breaker.admit(startedAt);
    if (permit === undefined) {
      circuits.countRejection();
      throw circuitOpen(breaker.retryAfterMs(startedAt));
    }
    let hasEnded = false;
    const end = (failure?: Failure) => {
      if (hasEnded) return;
      hasEnded = true;
      ctx.abortSource.removeEventListener('abort', onAbort);
      const status = failure === undefined ? ctx.status : statusOf(failure.error);
      const endedAt = now();
      if (showsNothing(ctx, status, failure)) breaker.release(permit, endedAt);
      else breaker.report(permit, status >= 500, isUpload ? 0 : endedAt - startedAt, endedAt);
    };
    // A handler may never return after the deadline, so the abort itself ends the call.
    const onAbort = () => end({ error: ctx.abortSource.reason });
    const done = observe(ctx, next, end);
    if (done !== undefined && !hasEnded) ctx.abortSource.addEventListener('abort', onAbort);
    return done;
  };
}

/**
 * The failures of a part that rejects at once by itself: the database, a called service, the queue of password hashes. The
 * circuit of the route would only prolong them, and clients could open it by filling a queue.
 */
const ofOtherParts: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['database_unavailable', 'database_busy', 'database_read_only', 'database_impaired'] as const),
  ...(['outgoing_unavailable', 'overloaded', 'not_ready', 'storage_full', 'shutting_down'] as const),
]);

/** Returns whether a result shows neither that the route works nor that it fails. */
function showsNothing(ctx: Context, status: number, failure: Failure | undefined): boolean {
  const code = failure?.error instanceof AppError ? failure.error.code : undefined;
  if (code === 'deadline_exceeded') return !ctx.request.complete;
  return (status >= 400 && status < 500) || (code !== undefined && ofOtherParts.has(code));
}

function circuitOpen(retryMs: number): AppError {
  return new AppError('circuit_open', 'This route has failed repeatedly: try again later.', {
    layer: 'circuit-breaker',
    headers: { 'retry-after': String(Math.max(1, Math.ceil(retryMs / 1000))) },
  });
}
