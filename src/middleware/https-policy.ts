import { AppError } from '../errors.ts';
import type { Context, Middleware } from '../http/context.ts';

export interface HttpsPolicyOptions {
  /** The name of the header that carries an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'https-policy';

/**
 * Handles requests that reached the trusted proxy over plain HTTP. GET and HEAD are redirected to HTTPS (308). Other methods
 * are rejected (403), because their body has already crossed the network unencrypted. Requests with credentials are rejected
 * as well: with a redirect, a client would continue to expose its token in every first request, and that token must be
 * replaced. Probes pass, because they come from inside. The host is already checked, so the redirect cannot lead elsewhere.
 */
export function httpsPolicy({ apiKeyHeader }: HttpsPolicyOptions): Middleware {
  const keyField = apiKeyHeader.toLowerCase();

  function hasCredentials({ request: { headers } }: Context): boolean {
    // Only the cookies of this service count. Browsers send them over HTTPS only, so this client is not a browser.
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
        'This service accepts HTTPS only, and the credentials of this request have crossed the network unencrypted: replace them (end the session, or revoke the API key), and send requests to https:// from the start.',
        { layer },
      );
    }
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      throw new AppError(
        'https_required',
        'This service accepts HTTPS only: send the request to https://, and replace any secret that it contained.',
        { layer },
      );
    }
    // The received target, still percent-encoded, without the authority of an absolute-form target.
    const pathAndQuery = ctx.target.raw.replace(/^https?:\/\/[^/?]*/i, '');
    ctx.headers.location = `https://${ctx.host.replace(/:\d*$/, '')}${pathAndQuery}`;
    ctx.reply(308, undefined);
    return undefined;
  };
}
