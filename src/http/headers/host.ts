/**
 * Hosts as requests name them (RFC 9110, section 7.2): what is a valid Host field, and which host it means, whatever its
 * spelling. `Example.com:8080`, `example.com.` and `example.com` are one host (RFC 1034, section 3.1), and so are
 * `[::1]` and `[0:0:0:0:0:0:0:1]`.
 */

import { isIPv6 } from 'node:net';
import { canonicalAddress } from '../addresses.ts';

/** uri-host [ ":" port ]: a name, an IPv4 address, or something in brackets. */
const form = /^(?:[a-z0-9._~-]{1,255}|\[([0-9a-f:.]{2,45})\])(?::\d{0,5})?$/i;

/** Whether a Host field is valid. It may be empty: the client then names no host. */
export function isHostField(host: string): boolean {
  if (host === '') return true;
  const match = form.exec(host);
  return match !== null && (match[1] === undefined || isIPv6(match[1]));
}

/** The name or the address of a valid Host field: in lower case, without port, brackets and trailing dot. */
export function hostName(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/(?<=[^.])\.$/, '');
  return canonicalAddress(name.replace(/^\[(.*)\]$/, '$1')) ?? name;
}

/**
 * A set of hosts, asked by `hostName`. A pattern is a name, an address without brackets, `*.example.com` for the names
 * below it, or `*` for any.
 */
export function createHostSet(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.includes('*')) return () => true;
  const exact = new Set(patterns.map((pattern) => canonicalAddress(pattern) ?? hostName(pattern)));
  const suffixes = [...exact].filter((host) => host.startsWith('*.')).map((host) => host.slice(1));
  return (name) =>
    exact.has(name) || suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length);
}
