/**
 * The Bearer scheme (RFC 6750): the token that a request sends, and the challenge of a 401.
 *
 *     Authorization: Bearer eyJhbGciOi…
 *     WWW-Authenticate: Bearer realm="Strata"
 *     WWW-Authenticate: Bearer realm="Strata", error="invalid_token", error_description="The access token has expired: refresh it."
 *
 * `countFields` finds requests that repeat a header with a credential.
 */

/**
 * Returns the token of an `Authorization` header (RFC 6750, section 2.1), or undefined if the header has another scheme. The
 * scheme is case-insensitive (RFC 9110, section 11.1). The form of the token is not checked here: see `auth/jwt/jwt.ts`.
 */
export function bearerToken(authorization = ''): string | undefined {
  const scheme = /^bearer +/i.exec(authorization)?.[0];
  return scheme === undefined ? undefined : authorization.slice(scheme.length);
}

/**
 * Returns the `WWW-Authenticate` value that every 401 needs (RFC 9110, section 11.6.1; RFC 6750, section 3). A request without
 * credentials gets the scheme alone; a request with a bad token also gets the reason.
 */
export function bearerChallenge(realm: string, invalidToken?: { readonly description: string }): string {
  const challenge = `Bearer realm=${quoted(realm)}`;
  return invalidToken === undefined
    ? challenge
    : `${challenge}, error="invalid_token", error_description=${quoted(invalidToken.description)}`;
}

/**
 * Returns how many fields of a lower-case name a request has. `rawHeaders` alternates names and values. `headers` of Node does
 * not show the number: for repeated fields it keeps the first one or joins all.
 */
export function countFields(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at];
    if (field?.length === name.length && field.toLowerCase() === name) count += 1;
  }
  return count;
}

/** A quoted-string (RFC 9110, section 5.6.4). RFC 6750 allows no quotes or backslashes in a description, even escaped. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '?')}"`;
}
