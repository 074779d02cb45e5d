/**
 * The hosts that requests name (RFC 9110, section 7.2): validates Host fields and compares hosts independent of their spelling.
 * `Example.com:8080`, `example.com.` and `example.com` are the same host (RFC 1034, section 3.1), and so are `[::1]` and
 * `[0:0:0:0:0:0:0:1]`.
 */

import { isIPv6 } from 'node:net';
import { canonicalAddress } from '../connection/addresses.ts';

/** uri-host [ ":" port ]: a name, an IPv4 address, or an IPv6 address in brackets. */
const form = /^(?:[a-z0-9._~-]{1,255}|\[([0-9a-f:.]{2,45})\])(?::\d{0,5})?$/i;

/** Returns whether a Host field is valid. It may be empty if the target has no host. */
export function isHostField(host: string): boolean {
  if (host === '') return true;
  const match = form.exec(host);
  return match !== null && (match[1] === undefined || isIPv6(match[1]));
}

/** Returns the name or address of a valid Host field in lower case, without port, brackets and trailing dot. */
export function hostName(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/(?<=[^.])\.$/, '');
  return canonicalAddress(name.replace(/^\[(.*)\]$/, '$1')) ?? name;
}

/**
 * Creates a set of hosts; look hosts up by their `hostName`. A pattern is a name, an address without brackets, `*.example.com`
 * for its subdomains, or `*` for every host.
 */
export function createHostSet(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.includes('*')) return () => true;
  const exact = new Set(patterns.map((pattern) => canonicalAddress(pattern) ?? hostName(pattern)));
  const suffixes = [...exact].filter((host) => host.startsWith('*.')).map((host) => host.slice(1));
  return (name) =>
    exact.has(name) || suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length);
}
