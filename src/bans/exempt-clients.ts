import { isIP, isIPv6 } from 'node:net';
import { type AddressSet, clientKey, createAddressSet, privateRanges } from '../http/connection/addresses.ts';

/** The clients that are never banned. */
export interface ExemptClients {
  /** Whether an address is exempt. Other text than an address is, because it names no client. */
  readonly hasAddress: AddressSet;
  /** Whether all addresses of a client (`clientKey`) are exempt. */
  readonly hasClient: (client: string) => boolean;
  /** Whether some addresses of a client may be exempt, but not all: a part of an IPv6 network. Faster than `hasAddress`. */
  readonly hasPartOf: (client: string) => boolean;
}

/**
 * Creates the set: the given addresses and CIDR blocks, and all private and loopback addresses. A private address is mostly
 * that of a load balancer, a container network or a platform, behind which are many clients.
 */
export function createExemptClients(allowed: readonly string[]): ExemptClients {
  const isListed = createAddressSet([...privateRanges, ...allowed]);
  const hasAddress = (address: string) => isIP(address) === 0 || isListed(address);
  const parts = new Set(allowed.flatMap(clientOfPart));
  return {
    hasAddress,
    hasClient: (client) => hasAddress(client.replace(/\/64$/, '')),
    hasPartOf: (client) => parts.has(client),
  };
}

/** Returns the client of which an entry is only a part. */
function clientOfPart(entry: string): string[] {
  const [address = '', prefix = '128'] = entry.split('/');
  return isIPv6(address) && Number(prefix) > 64 ? [clientKey(address)] : [];
}
