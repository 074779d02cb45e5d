/**
 * Cookies, as strictly as RFC 6265 has servers write them.
 *
 * What is set has the `__Host-` prefix, with which browsers see to it that only this very host has set the cookie, over
 * HTTPS, for all of its paths: neither a neighbour on a subdomain nor somebody on the network can plant one
 * (RFC 6265bis, section 4.1.3.2). Browsers take `localhost` for secure, but for Safari.
 *
 * What is read must have the very name, once. Servers that trim more than spaces and tabs, or that know quoted strings
 * and `$Version`, have let `__Host-` cookies be planted under names which only they read as such.
 */

const prefix = '__Host-';

/** A token (RFC 9110, section 5.6.2) and cookie-octets (RFC 6265, section 4.1.1). */
const nameForm = /^[\w!#$%&'*+.^`|~-]+$/;
const octets = String.raw`[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*`;
const valueForm = new RegExp(`^${octets}$`);
const valueAndSpace = new RegExp(`^(${octets})[ \\t]*$`);

/**
 * The value of the cookie `__Host-<name>` in a Cookie header. Undefined if it is not there, is there more than once, or
 * has a value that no cookie can have.
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
 * A Set-Cookie value for `__Host-<name>`, which scripts cannot read and which is sent only with requests that this site
 * itself has caused. Throws a RangeError for what cannot stand in a cookie.
 */
export function writeHostCookie(name: string, value: string, maxAgeSeconds: number): string {
  if (!nameForm.test(name)) throw new RangeError(`"${name}" cannot be the name of a cookie.`);
  if (!valueForm.test(value))
    throw new RangeError(`The value of the cookie ${name} has characters that no cookie has.`);
  const maxAge = Math.max(0, Math.floor(maxAgeSeconds));
  return `${prefix}${name}=${value}; Path=/; Max-Age=${maxAge}; Secure; HttpOnly; SameSite=Strict`;
}

/** The Set-Cookie value that takes `__Host-<name>` away again. */
export function clearHostCookie(name: string): string {
  return writeHostCookie(name, '', 0);
}
