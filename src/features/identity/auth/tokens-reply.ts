import { clearHostCookie, writeHostCookie } from '../../../http/headers/cookies.ts';
import { ok } from '../../../http/reply.ts';
import type { Grant } from './grant.ts';
import type { Transport } from './schema.ts';

/** The name of the cookie after the prefix `__Host-`. */
export const refreshCookie = 'refresh';

/** The description of the header field in the OpenAPI document. */
export const setTokensCookie = 'The refresh token in the cookie `__Host-refresh`, if cookies are used.';

/**
 * Makes the response of RFC 6749, section 5.1. The pipeline sets `Cache-Control: no-store`. With `replacesCookie`, the
 * client's cookie belongs to an ended session and is removed.
 */
export function tokensReply(
  grant: Grant,
  transport: Transport,
  { replacesCookie = false }: { readonly replacesCookie?: boolean } = {},
) {
  const value = {
    access_token: grant.accessToken,
    token_type: 'Bearer' as const,
    expires_in: grant.expiresIn,
    scope: grant.scope,
  };
  if (transport === 'cookie') {
    return ok(value, {
      'set-cookie': writeHostCookie(refreshCookie, grant.refreshToken, grant.sessionExpiresIn),
    });
  }
  return ok(
    { ...value, refresh_token: grant.refreshToken },
    replacesCookie ? { 'set-cookie': clearHostCookie(refreshCookie) } : {},
  );
}
