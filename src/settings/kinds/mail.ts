/** The kinds of values that mail needs: a server to send it by, an address to send it from, a place for links to go. */

import { localMailAddress } from '../../mail/mail-address.ts';
import { kind, reject } from './kind.ts';
import { readServerUrl } from './server-url.ts';

/** The URL of a mail server: `smtps` speaks TLS from the first byte, `smtp` from STARTTLS on (RFC 8314, section 3). */
export const smtpUrl = () =>
  kind('smtp://user:password@host:587 or smtps://user:password@host:465', (text) => {
    if (text === '') return text;
    if (!/^smtps?:\/\//i.test(text)) return reject('it must start with smtp:// or smtps://');
    const { pathname, search } = new URL(readServerUrl(text));
    return /^\/?$/.test(pathname + search) ? text : reject('nothing may follow the host and its port');
  });

/** One mailbox as it stands in `From` (RFC 5322, section 3.4): an address, or a name and the address in brackets. */
export const mailbox = () =>
  kind('an address such as no-reply@example.com, or Name <no-reply@example.com>', (text) => {
    const form = /^(?:[^<>"\p{Cc}]{1,100} <([^<>]+)>|([^<>]+))$/u.exec(text);
    const address = form?.[1] ?? form?.[2] ?? '';
    return localMailAddress.test(address) ? text : reject();
  });

/** What a link starts with: scheme, host and perhaps a path, without the slash at the end. */
export const linkBase = () =>
  kind('a URL such as https://app.example.com', (text) => {
    if (text === '') return text;
    const url = URL.canParse(text) ? new URL(text) : reject();
    if (!/^https?:$/.test(url.protocol)) return reject('it must start with https:// or http://');
    if (url.username + url.password !== '') return reject('no user name and no password may stand in it');
    if (/[?#]/.test(text)) return reject('neither ? nor # may stand in it');
    return url.href.replace(/\/+$/, '');
  });
