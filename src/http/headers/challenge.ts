/**
 * The value of `WWW-Authenticate`, which every 401 has (RFC 9110, section 11.6.1): a challenge of the Bearer scheme
 * (RFC 6750, section 3). Who showed no credentials learns only the scheme; who showed bad ones learns what is wrong.
 *
 *     Bearer realm="Strata"
 *     Bearer realm="Strata", error="invalid_token", error_description="The access token has expired: refresh it."
 */
export function bearerChallenge(realm: string, invalidToken?: { readonly description: string }): string {
  const challenge = `Bearer realm=${quoted(realm)}`;
  return invalidToken === undefined
    ? challenge
    : `${challenge}, error="invalid_token", error_description=${quoted(invalidToken.description)}`;
}

/** A quoted-string (RFC 9110, section 5.6.4). A description may have neither quotes nor backslashes, escaped or not. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '?')}"`;
}
