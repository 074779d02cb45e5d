/**
 * The token of an `Authorization` header (RFC 6750, section 2.1), whose scheme may be in any case (RFC 9110, section
 * 11.1). Undefined if there is none of that scheme. What a token must look like, `auth/jwt.ts` knows.
 */
export function bearerToken(authorization = ''): string | undefined {
  const scheme = /^bearer +/i.exec(authorization)?.[0];
  return scheme === undefined ? undefined : authorization.slice(scheme.length);
}
