import { AppError } from '../errors.ts';
import type { Context, Done, Middleware } from '../http/context.ts';
import { replyWithProblem, statusOf } from '../http/problem.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import { idFields } from '../observability/request-context.ts';

export interface ErrorBoundaryOptions {
  readonly log: Logger;
  /** Include stacks in problem responses. Never in production. */
  readonly debug: boolean;
  /** Called with each error of a request. */
  readonly onError?: ((ctx: Context, error: unknown) => void) | undefined;
}

/**
 * Converts every error thrown by an inner layer to an RFC 9457 problem. An AppError contains what the client may know. For
 * any other error the client gets the request id only, and the log gets the details.
 */
export function errorBoundary({ log, debug, onError }: ErrorBoundaryOptions): Middleware {
  function answer(ctx: Context, error: unknown): undefined {
    if (statusOf(error) === 500) {
      log.error('http.request.failed', {
        ...idFields(ctx),
        method: ctx.method,
        path: showPath(ctx.target.path),
        layer: error instanceof AppError ? error.layer : undefined,
        error,
      });
    }
    onError?.(ctx, error);
    replyWithProblem(ctx, error, debug);
  }

  /** Reports the error of a layer that has rejected the request without throwing (`rejectRequest`). */
  function report(ctx: Context): undefined {
    if (ctx.error !== undefined) onError?.(ctx, ctx.error);
  }

  return function errorBoundary(ctx, next) {
    let done: Done;
    try {
      done = next(ctx);
    } catch (error) {
      return answer(ctx, error);
    }
    if (done === undefined) return report(ctx);
    if (onError === undefined) return done.catch((error: unknown) => answer(ctx, error));
    return done.then(
      () => report(ctx),
      (error: unknown) => answer(ctx, error),
    );
  };
}
