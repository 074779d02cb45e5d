/**
 * The only definition of a valid e-mail address, for registrations, imports, commands, senders and recipients of mails, and
 * the OpenAPI document.
 *
 *     Local-part = Dot-string          RFC 5321, section 4.1.2; at most 64 octets (4.5.3.1.1)
 *     Domain     = sub-domains         RFC 5321, section 4.1.2; at most 63 octets each (RFC 1035, 2.3.4)
 *     together   = at most 254 octets  a path of 256 with its angle brackets (4.5.3.1.3)
 *
 * Three forms that RFC 5321 and RFC 6531 allow are rejected, because hardly any mailbox has them and many systems that
 * receive the address later cannot handle them: quoted local parts (`"a b"@example.org`), address literals
 * (`a@[192.0.2.1]`), and internationalised addresses (SMTPUTF8). An internationalised domain is accepted in its ASCII
 * form (`xn--…`). The domain of a user needs at least two labels, and the last one starts with a letter.
 */

export const maxMailAddressLength = 254;

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const topLevel = '[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]';
const start = `^(?=.{1,${maxMailAddressLength}}$)(?=[^@]{1,64}@)${atom}(?:\\.${atom})*@`;

/** An address on the Internet. */
export const mailAddress = new RegExp(`${start}(?:${label}\\.)+${topLevel}$`);

/** An address on the Internet or at a host of the local network, such as `no-reply@localhost`. */
export const localMailAddress = new RegExp(`${start}${label}(?:\\.${label})*$`);
