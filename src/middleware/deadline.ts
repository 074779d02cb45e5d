import { AppError } from '../errors.ts';
import type { Context, Done, Middleware } from '../http/context.ts';

export interface DeadlineOptions {
  /** How long an answer may take to be made, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Ends the work for a request that nobody waits for: when the client goes away, and when the deadline passes,
 * `ctx.signal` is aborted, which cancels the queries that run for it. At the deadline the client gets 503 at once,
 * whatever the handler still does; its late answer goes nowhere.
 *
 * A request that is answered without waiting pays nothing for this layer. A stream may flow for longer: the
 * deadline is on having an answer, not on sending it.
 */
export function deadline({ timeoutMs }: DeadlineOptions): Middleware {
  return function deadline(ctx, next) {
    const done = next(ctx);
    return done && withDeadline(ctx, done, timeoutMs);
  };
}

function withDeadline(ctx: Context, done: Promise<void>, timeoutMs: number): Done {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      ctx.response.off('close', onClose);
      settle();
    };
    const giveUp = (reason: AppError) => {
      ctx.abort(reason);
      end(() => reject(reason));
    };
    const onClose = () => giveUp(new AppError('client_gone', 'The client closed the connection.'));
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
