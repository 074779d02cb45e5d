/**
 * Masks credentials by their form, anywhere in a text and whatever the name of the parameter, header or field: a client can
 * send a token as `?t=sot_…` or in a path, and a driver can quote a connection URL in an error.
 *
 *     form                                           shown as
 *     sot_… srt_… sak_…  this server's own tokens    sot_***REDACTED***
 *     eyJ….….…           a JWS or JWE (RFC 7515)     ***REDACTED***
 *     Bearer …, Basic …  an Authorization value      Bearer ***REDACTED***
 *     https://user:password@host                     https://user:***REDACTED***@host
 *
 * A form is recognised by its first characters, so a credential that was cut before is masked too. Separators can be
 * percent-encoded, once or more. Masking too much is preferred to masking too little, since the texts are for the log.
 * Every expression runs in time linear in the length of the text.
 */

export const redacted = '***REDACTED***';

/** The prefixes of one-time tokens, refresh tokens and API keys. Fewer than eight characters reveal no token. */
const ownToken = /(s(?:ot|rt|ak)(?:_|%(?:25)*5[fF]))[A-Za-z0-9_-]{8,}/g;

/** Two to five parts in base64url. Without the lookbehind, a long text without a dot would take quadratic time. */
const dottedParts = /(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}/g;

const authorization = /\b(bearer|basic)((?:\s|\+|%(?:25)*20)+)([A-Za-z0-9._~+/=-]{8,})/gi;

const urlPassword = /([a-z][a-z0-9+.-]{0,31}:\/\/[^\s/?#:@]*):[^\s/?#]*@/gi;

/** The same, percent-encoded in a parameter: `%3A%2F%2Fuser%3Apassword%40`. The bound keeps the time linear. */
const encodedUrlPassword =
  /(%(?:25)*3A(?:%(?:25)*2F){2}(?:(?!%(?:25)*(?:3A|2F|40))[^\s&]){0,256})%(?:25)*3A[^\s&]{0,512}?(%(?:25)*40)/gi;

/** Masks every credential in a text by its form. Masking a masked text changes nothing. */
export function maskForms(text: string): string {
  let masked = text;
  if (masked.includes('_') || masked.includes('%')) masked = masked.replace(ownToken, `$1${redacted}`);
  if (masked.includes('.')) masked = masked.replace(dottedParts, maskJwt);
  if (separator.test(masked)) masked = masked.replace(authorization, maskAuthorization);
  return maskUrl(masked);
}

const separator = /[\s+%]/;

/** Masks the password of every URL in a text. */
export function maskUrl(text: string): string {
  let masked = text;
  if (masked.includes('://')) masked = masked.replace(urlPassword, `$1:${redacted}@`);
  if (masked.includes('%')) masked = masked.replace(encodedUrlPassword, `$1:${redacted}$2`);
  return masked;
}

/** In a JWT at least one part starts with `{"` (`eyJ`), or the header is a JSON object after spaces. */
function maskJwt(parts: string): string {
  if (parts.includes('eyJ')) return redacted;
  const header = Buffer.from(parts.slice(0, parts.indexOf('.')), 'base64url').toString('latin1');
  return /^\s*\{\s*"/.test(header) ? redacted : parts;
}

/** Keeps plain words, as in "Bearer authentication". A credential has a digit, a capital or another character. */
function maskAuthorization(text: string, scheme: string, space: string, value: string): string {
  return value.length < 20 && /^[a-z]+[.]?$|^[A-Z]?[a-z]+$/.test(value)
    ? text
    : `${scheme}${space}${redacted}`;
}
