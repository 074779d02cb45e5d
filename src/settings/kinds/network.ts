/**
 * The kinds of values that name something on the network: an address to listen on, a Host header to answer to, an
 * origin of the browser's same-origin policy, a range of proxies. Each is normalised to the one spelling that it is
 * later compared in, so that no layer has to do it for every request.
 */

import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { kind, list, reject, rejectItem } from './kind.ts';

/** The address or the name of an interface of this machine. */
export const bindAddress = () =>
  kind('an IP address or a host name, without port', (text) => {
    if (text === '*') return reject('write 0.0.0.0 or :: for every interface');
    return isIP(text) !== 0 || isHostName(text) ? text : reject();
  });

/**
 * The hosts that requests may be addressed to: `*`, a name, `*.` and a name (its subdomains, not itself), or an IP
 * address. Lower case, in Punycode; an IPv6 address in its shortest form without brackets.
 */
export const hostPatterns = () =>
  list('host names, *.name for all subdomains, IP addresses, or * for every host', (text) => {
    const pattern = text.toLowerCase();
    if (pattern === '*') return pattern;
    const address = /^\[(.*)\]$/.exec(pattern)?.[1] ?? pattern;
    if (isIPv6(address) && !address.includes('%'))
      return new URL(`http://[${address}]`).hostname.slice(1, -1);
    if (pattern.includes('://')) return rejectItem(text, 'has a scheme; write the host name alone');
    if (pattern.includes('/')) return rejectItem(text, 'has a path; write the host name alone');
    if (/:\d*$/.test(pattern))
      return rejectItem(text, 'has a port; write the host name alone, it holds for every port');
    const wildcard = pattern.startsWith('*.') ? '*.' : '';
    // The same name with and without the dot of the root (RFC 1034, section 3.1).
    const name = toAscii(pattern.slice(wildcard.length)).replace(/\.$/, '');
    return isHostName(name) || (wildcard === '' && isIP(name) !== 0)
      ? wildcard + name
      : rejectItem(text, 'is not a host name');
  });

/**
 * Origins as a browser sends them in `Origin` (RFC 6454, section 6.2): scheme, host, and the port if it is not the
 * scheme's own; or `*` for every origin.
 */
export const origins = () =>
  list('origins such as https://app.example.com or http://localhost:3000, or * for every origin', (text) => {
    if (text === '*') return text;
    if (text.includes('@')) return reject();
    const [, scheme = '', authority = '', rest = ''] =
      /^([a-z][a-z0-9+.-]*):\/\/([^/?#]+)(.*)$/is.exec(text) ?? [];
    if (scheme === '')
      return rejectItem(text, `has no scheme or no host; write it like "https://${exampleHost(text)}"`);
    if (rest !== '')
      return rejectItem(text, `has a path; write "${scheme}://${authority}" without what follows`);
    if (authority.includes('*'))
      return rejectItem(text, 'is a pattern; list each origin, or use * for every one');
    return (
      originOf(scheme.toLowerCase(), authority) ?? rejectItem(text, 'has a host or a port that is not valid')
    );
  });

function originOf(scheme: string, authority: string): string | undefined {
  const url = `${scheme}://${authority}`;
  if (!URL.canParse(url)) return undefined;
  if (scheme === 'http' || scheme === 'https') return new URL(url).origin;
  // A scheme of an app, such as capacitor: the URL standard knows no origin for it, browsers send it all the same.
  return /^[a-z0-9_.-]+(?::\d+)?$/i.test(authority) ? url.toLowerCase() : undefined;
}

const exampleHost = (text: string) =>
  isHostName(text.toLowerCase()) ? text.toLowerCase() : 'app.example.com';

/** IP addresses and CIDR ranges (RFC 4632, RFC 4291). */
export const addressRanges = () =>
  list('IP addresses or CIDR ranges such as 10.0.0.0/8', (text) => {
    const [, address = '', prefix] = /^([^/%]+)(?:\/(.*))?$/s.exec(text) ?? [];
    const family = isIP(address);
    if (family === 0) return rejectItem(text, 'is not an IP address');
    const bits = family === 4 ? 32 : 128;
    if (prefix !== undefined && !(/^(?:0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= bits)) {
      return rejectItem(text, `needs a prefix length from 0 to ${bits} after the slash`);
    }
    return text.toLowerCase();
  });

/** The Punycode of an international name; any other text as it is. */
function toAscii(name: string): string {
  return /[^ -~]/.test(name) ? domainToASCII(name) : name;
}

/** RFC 1123 names, and the underscore that container networks use. A name that ends in a number would be an address. */
function isHostName(name: string): boolean {
  const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
  return (
    name.length <= 253 && name.split('.').every((part) => label.test(part)) && !/(?:^|\.)\d+$/.test(name)
  );
}
