import type { Middleware } from '../http/context.ts';

/**
 * Throws the error that the server, the layer proxy-headers or the layer trusted-host found in the message as a whole
 * (`ctx.messageError`). It runs after `cors`, so that a page of an allowed origin can read the error, and after the limiter,
 * so that the request counts. It runs before all other layers, because nothing in such a message can be trusted.
 */
export function messageErrors(): Middleware {
  return function messageErrors(ctx, next) {
    if (ctx.messageError !== undefined) throw ctx.messageError;
    return next(ctx);
  };
}
