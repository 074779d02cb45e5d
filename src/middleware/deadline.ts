import { AppError } from '../errors.ts';
import type { Context, Done, Middleware } from '../http/context.ts';

export interface DeadlineOptions {
  /** The time until the response must be ready, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Cancels the work for a request when its client disconnects or its deadline passes: `ctx.signal` is aborted, which cancels
 * the running queries of the request. At the deadline the client immediately gets 503. The handler may continue, but its
 * late response is discarded.
 *
 * A request that is answered synchronously pays nothing for this layer. A stream may take longer: the deadline applies to
 * having the response ready, not to sending it.
 */
export function deadline({ timeoutMs }: DeadlineOptions): Middleware {
  return function deadline(ctx, next) {
    // A whole number, which is stored without an allocation.
    ctx.abortSource.deadlineAt = Math.trunc(ctx.startedAt) + timeoutMs;
    const done = next(ctx);
    if (done !== undefined) return withDeadline(ctx, done, timeoutMs);
    ctx.abortSource.deadlineAt = 0;
    return undefined;
  };
}

function withDeadline(ctx: Context, done: Promise<void>, timeoutMs: number): Done {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      ctx.abortSource.deadlineAt = 0;
      ctx.response.off('close', onClose);
      settle();
    };
    const giveUp = (reason: AppError) => {
      ctx.abort(reason);
      end(() => reject(reason));
    };
    const onClose = () => giveUp(new AppError('client_gone', 'The client closed the connection.'));
    // One promise for the work, the deadline and the client; withTimeout would create four per request.
    const timer = setTimeout(() => {
      giveUp(
        new AppError('deadline_exceeded', `The answer was not ready within ${timeoutMs / 1000} seconds.`, {
          layer: 'deadline',
          headers: { 'retry-after': '1' },
        }),
      );
    }, timeoutMs);
    ctx.response.once('close', onClose);
    done.then(
      () => end(resolve),
      (error: unknown) => end(() => reject(error)),
    );
  });
}
