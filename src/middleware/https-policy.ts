import { AppError } from '../errors.ts';
import type { Context, Middleware } from '../http/context.ts';

export interface HttpsPolicyOptions {
  /** The name of the header that has an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'https-policy';

/**
 * A request that came to the trusted proxy over plain HTTP is sent to HTTPS (GET and HEAD, 308) or refused (everything
 * else, whose body has crossed the network already, 403). One with credentials is refused, too: a redirect would let a
 * client go on forever that shows its token to the network in every first request, and that token has to be replaced.
 * Probes are let through: they come from inside. The host has been checked by then, so the redirect cannot lead astray.
 */
export function httpsPolicy({ apiKeyHeader }: HttpsPolicyOptions): Middleware {
  const keyField = apiKeyHeader.toLowerCase();

  function hasCredentials({ request: { headers } }: Context): boolean {
    // Of cookies, only those of this service count; a browser sends them over HTTPS only, so this is no browser.
    return (
      headers.authorization !== undefined ||
      headers[keyField] !== undefined ||
      headers.cookie?.includes('__Host-') === true
    );
  }

  return function httpsPolicy(ctx, next) {
    if (ctx.scheme === 'https' || ctx.isProbe) return next(ctx);
    if (hasCredentials(ctx)) {
      throw new AppError(
        'https_required',
        'This service is reached over HTTPS only, and the credentials of this request have crossed the network unencrypted: replace them (end the session, or revoke the API key), and send requests to https:// from the start.',
        { layer },
      );
    }
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      throw new AppError(
        'https_required',
        'This service is reached over HTTPS only; send the request there, and replace what was secret in it.',
        { layer },
      );
    }
    // As it came, still encoded, and without the authority of an absolute-form target.
    const pathAndQuery = ctx.target.raw.replace(/^https?:\/\/[^/?]*/i, '');
    ctx.headers.location = `https://${ctx.host.replace(/:\d*$/, '')}${pathAndQuery}`;
    ctx.reply(308, undefined);
    return undefined;
  };
}
