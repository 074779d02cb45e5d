/**
 * Reads and writes cookies, as strictly as RFC 6265 requires of servers.
 *
 * Every cookie has the `__Host-` prefix. Browsers then guarantee that this host has set it, over HTTPS and for all of its paths,
 * so that neither a sibling domain nor an attacker on the network can plant one (RFC 6265bis, section 4.1.3.2). All browsers
 * except Safari treat `localhost` as secure.
 *
 * A cookie that is read must have exactly this name, once. Servers that trim more than spaces and tabs, or that support quoted
 * strings and `$Version`, have accepted planted cookies whose names only they read as `__Host-` names.
 */

const prefix = '__Host-';

/** A token (RFC 9110, section 5.6.2) and cookie-octets (RFC 6265, section 4.1.1). */
const nameForm = /^[\w!#$%&'*+.^`|~-]+$/;
const octets = String.raw`[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*`;
const valueForm = new RegExp(`^${octets}$`);
const valueAndSpace = new RegExp(`^(${octets})[ \\t]*$`);

/**
 * Returns the value of the cookie `__Host-<name>` in a Cookie header. Undefined if it is missing, repeated, or has an invalid
 * value.
 */
export function readHostCookie(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  const start = `${prefix}${name}=`;
  const [found, ...more] = header
    .split(';')
    .map((pair) => pair.replace(/^[ \t]+/, ''))
    .filter((pair) => pair.startsWith(start));
  if (found === undefined || more.length > 0) return undefined;
  return valueAndSpace.exec(found.slice(start.length))?.[1];
}

/**
 * Returns a Set-Cookie value for `__Host-<name>`. Scripts cannot read the cookie, and browsers send it only with same-site
 * requests. Throws a RangeError for an invalid name or value.
 */
export function writeHostCookie(name: string, value: string, maxAgeSeconds: number): string {
  if (!nameForm.test(name)) throw new RangeError(`"${name}" is not a valid cookie name.`);
  if (!valueForm.test(value))
    throw new RangeError(`The value of the cookie ${name} has characters that are not allowed in cookies.`);
  const maxAge = Math.max(0, Math.floor(maxAgeSeconds));
  return `${prefix}${name}=${value}; Path=/; Max-Age=${maxAge}; Secure; HttpOnly; SameSite=Strict`;
}

/** Returns the Set-Cookie value that deletes `__Host-<name>`. */
export function clearHostCookie(name: string): string {
  return writeHostCookie(name, '', 0);
}
