import { isIP } from 'node:net';
import { type AddressSet, createAddressSet, privateRanges } from '../http/connection/addresses.ts';

/** The clients that are never banned. */
export interface ExemptClients {
  /** Whether an address is exempt. Other text than an address is, because it names no client. */
  readonly hasAddress: AddressSet;
  /** Whether all addresses of a client (`clientKey`) are exempt. */
  readonly hasClient: (client: string) => boolean;
}

/**
 * Creates the set: the given addresses and CIDR blocks, and all private and loopback addresses. A private address is mostly
 * that of a load balancer, a container network or a platform, behind which are many clients.
 */
export function createExemptClients(allowed: readonly string[]): ExemptClients {
  const isListed = createAddressSet([...privateRanges, ...allowed]);
  const hasAddress = (address: string) => isIP(address) === 0 || isListed(address);
  return { hasAddress, hasClient: (client) => hasAddress(client.replace(/\/64$/, '')) };
}
