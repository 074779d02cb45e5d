import { AppError } from '../errors.ts';
import type { Middleware } from '../http/context.ts';

/**
 * A request that came to the trusted proxy over plain HTTP is sent to HTTPS (GET and HEAD, 308) or refused
 * (everything else, whose body has crossed the wire already, 403). Probes are let through: they come from inside.
 * The host has been checked by then, so the redirect cannot lead astray.
 */
export function httpsPolicy(): Middleware {
  return function httpsPolicy(ctx, next) {
    if (ctx.scheme === 'https' || ctx.isProbe) return next(ctx);
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      throw new AppError(
        'https_required',
        'This service is reached over HTTPS only; send the request there.',
        {
          layer: 'https-policy',
        },
      );
    }
    // As it came, still encoded, and without the authority of an absolute-form target.
    const pathAndQuery = ctx.target.raw.replace(/^https?:\/\/[^/?]*/i, '');
    ctx.headers.location = `https://${ctx.host.replace(/:\d*$/, '')}${pathAndQuery}`;
    ctx.reply(308, undefined);
    return undefined;
  };
}
