import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '../errors.ts';
import { bearerToken } from '../http/bearer-token.ts';
import { bearerChallenge } from '../http/challenge.ts';
import type { Context } from '../http/context.ts';
import type { Logger } from '../observability/logger.ts';

/**
 * A check that the request shows `token` as `Authorization: Bearer` (RFC 6750, section 2.1): it throws an AppError
 * `unauthenticated` if not. With an empty token it lets everybody in. Digests of the same length are compared, so the
 * time tells nothing about how much of a guess was right.
 */
export function requireToken(token: string, log: Logger): (ctx: Context) => void {
  if (token === '') return () => {};
  const wanted = digest(token);
  return (ctx) => {
    const shown = bearerToken(ctx.request.headers.authorization);
    if (shown !== undefined && timingSafeEqual(digest(shown), wanted)) return;
    log.info('auth.credentials.refused', { client_address: ctx.clientAddress, path: ctx.target.path });
    const invalid = shown === undefined ? undefined : { description: 'This is not the token.' };
    throw new AppError(
      'unauthenticated',
      shown === undefined
        ? 'Send the value of APP_MANAGEMENT_TOKEN as "Authorization: Bearer <token>".'
        : 'This is not the management token.',
      { layer: 'management', headers: { 'www-authenticate': bearerChallenge('management', invalid) } },
    );
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
