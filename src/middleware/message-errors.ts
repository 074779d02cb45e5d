import type { Middleware } from '../http/context.ts';

/**
 * Refuses what is wrong with the message as a whole, as the server, the proxy headers and the list of hosts have found it
 * (`ctx.messageError`). The refusal comes this late so that it has the headers by which a page of an allowed origin can read it,
 * and so that the limiter has counted it; and no later, because nothing of such a message can be trusted.
 */
export function messageErrors(): Middleware {
  return function messageErrors(ctx, next) {
    if (ctx.messageError !== undefined) throw ctx.messageError;
    return next(ctx);
  };
}
