/** The kinds of values for mail: the server, the sender's address, and the base URL of links. */

import { localMailAddress } from '../../mail/mail-address.ts';
import { kind, reject } from './kind.ts';

/** The URL of a mail server: `smtps` uses TLS from the first byte, `smtp` after STARTTLS (RFC 8314, section 3). */
export const smtpUrl = () =>
  kind('smtp://user:password@host:587 or smtps://user:password@host:465', (text) => {
    if (text === '') return text;
    if (!/^smtps?:\/\//i.test(text)) return reject('it must start with smtp:// or smtps://');
    const { pathname, search } = new URL(readServerUrl(text));
    return /^\/?$/.test(pathname + search) ? text : reject('it must end after the host and its port');
  });

/** One mailbox for `From` (RFC 5322, section 3.4): an address, or a name and the address in angle brackets. */
export const mailbox = () =>
  kind('an address such as no-reply@example.com, or Name <no-reply@example.com>', (text) => {
    const form = /^(?:[^<>"\p{Cc}]{1,100} <([^<>]+)>|([^<>]+))$/u.exec(text);
    const address = form?.[1] ?? form?.[2] ?? '';
    return localMailAddress.test(address) ? text : reject();
  });

/** The base of links: scheme, host and optionally a path, without the trailing slash. */
export const linkBase = () =>
  kind('a URL such as https://app.example.com', (text) => {
    if (text === '') return text;
    const url = URL.canParse(text) ? new URL(text) : reject();
    if (!/^https?:$/.test(url.protocol)) return reject('it must start with https:// or http://');
    if (url.username + url.password !== '') return reject('it must not contain a user name or a password');
    if (/[?#]/.test(text)) return reject('it must not contain ? or #');
    return url.href.replace(/\/+$/, '');
  });

/**
 * Reads the URL of a server that may contain a user name and a password. Rejects URLs that parsers split differently,
 * because half of a password could then be read as a path and be logged.
 */
function readServerUrl(text: string): string {
  const encode =
    'percent-encode special characters in the user name and the password (@ is %40, : %3A, / %2F, ? %3F, # %23)';
  if (/[\s\p{Cc}#]/u.test(text) || !URL.canParse(text)) return reject(`the URL is not valid; ${encode}`);
  const url = new URL(text);
  const parts = [url.username, url.password, url.pathname];
  if (`${url.pathname}${url.search}`.includes('@') || !parts.every(isPercentEncoded)) return reject(encode);
  if (url.hostname === '') return reject('the URL names no host');
  return text;
}

function isPercentEncoded(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}
