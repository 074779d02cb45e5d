/**
 * The kinds of values for the network: listen addresses, allowed hosts, origins of the browser's same-origin policy, and
 * address ranges of proxies. Each value is normalised once to the spelling in which it is compared, so that no layer has
 * to do it per request.
 */

import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { kind, list, reject, rejectItem } from './kind.ts';

/** An address or a name of a network interface of this machine. */
export const bindAddress = () =>
  kind('an IP address or a host name, without port', (text) => {
    if (text === '*') return reject('write 0.0.0.0 or :: for all interfaces');
    return isIP(text) !== 0 || isHostName(text) ? text : reject();
  });

/**
 * The hosts that requests may name: `*`, a name, `*.` and a name (all of its subdomains, but not itself), or an IP
 * address. In lower case and Punycode; an IPv6 address in its shortest form, without brackets.
 */
export const hostPatterns = () =>
  list('host names, *.name for all subdomains, IP addresses, or * for every host', (text) => {
    const pattern = text.toLowerCase();
    if (pattern === '*') return pattern;
    const address = /^\[(.*)\]$/.exec(pattern)?.[1] ?? pattern;
    if (isIPv6(address) && !address.includes('%'))
      return new URL(`http://[${address}]`).hostname.slice(1, -1);
    if (pattern.includes('://')) return rejectItem(text, 'has a scheme; write only the host name');
    if (pattern.includes('/')) return rejectItem(text, 'has a path; write only the host name');
    if (/:\d*$/.test(pattern))
      return rejectItem(text, 'has a port; write only the host name, which covers all ports');
    const wildcard = pattern.startsWith('*.') ? '*.' : '';
    // The same name with and without the dot of the root (RFC 1034, section 3.1).
    const name = toAscii(pattern.slice(wildcard.length)).replace(/\.$/, '');
    return isHostName(name) || (wildcard === '' && isIP(name) !== 0)
      ? wildcard + name
      : rejectItem(text, 'is not a host name');
  });

/**
 * Origins as a browser sends them in `Origin` (RFC 6454, section 6.2): scheme, host, and the port if it is not the
 * default port of the scheme; or `*` for every origin.
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
      return rejectItem(text, 'is a pattern; list each origin, or use * for every origin');
    return (
      originOf(scheme.toLowerCase(), authority) ?? rejectItem(text, 'has a host or a port that is not valid')
    );
  });

function originOf(scheme: string, authority: string): string | undefined {
  const url = `${scheme}://${authority}`;
  if (!URL.canParse(url)) return undefined;
  if (scheme === 'http' || scheme === 'https') return new URL(url).origin;
  // The URL standard defines no origin for the schemes of apps, such as capacitor, but browsers send one.
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

/** Returns the Punycode of an internationalised name, and any other text unchanged. */
function toAscii(name: string): string {
  return /[^ -~]/.test(name) ? domainToASCII(name) : name;
}

/** RFC 1123 names, with the underscore that container networks use. A name that ends in a number is an address. */
function isHostName(name: string): boolean {
  const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
  return (
    name.length <= 253 && name.split('.').every((part) => label.test(part)) && !/(?:^|\.)\d+$/.test(name)
  );
}
