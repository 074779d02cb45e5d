/**
 * Decides which addresses outgoing requests may reach: addresses of the public internet, and those that the settings allow.
 * A URL can come from a user (a webhook), and the user must not reach what only this server can reach: its own ports, the
 * database, the metadata service of the cloud (server-side request forgery).
 *
 *     name --resolved once--> addresses --each is checked--> the socket connects to one of exactly these
 *
 * The check is the `lookup` function of the socket. A name that resolves to a public address for a check and to a private one
 * for the connection (DNS rebinding) gains nothing, because there is no second look-up. The global `fetch` of Node has no such
 * hook, which is why the client is built on node:http and node:https.
 */

import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { AppError } from '../errors.ts';
import { type AddressSet, canonicalAddress, createAddressSet } from '../http/connection/addresses.ts';

/** Resolves with all addresses of a host name, in the order in which to try them. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

/** The IPv4 blocks that are not public (IANA IPv4 Special-Purpose Address Registry), with multicast and reserved ones. */
const privateIPv4 = createAddressSet([
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
]);

/** The only block of global unicast IPv6 addresses. All others are local, multicast, or embed an IPv4 address. */
const globalIPv6 = createAddressSet(['2000::/3']);
/** Blocks inside it that are not public: protocol assignments with Teredo, documentation, and 6to4, which embeds IPv4. */
const privateIPv6 = createAddressSet(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);

/** Returns whether an address is on the public internet. An IPv4-mapped IPv6 address counts as its IPv4 address. */
export function isPublicAddress(address: string): boolean {
  const canonical = canonicalAddress(address);
  if (canonical === undefined) return false;
  if (!canonical.includes(':')) return !privateIPv4(canonical);
  return globalIPv6(canonical) && !privateIPv6(canonical);
}

/** Returns whether an outgoing request may connect to an address; `allowed` are the private ones of the settings. */
export function createAddressCheck(allowed: AddressSet): AddressSet {
  return (address) => isPublicAddress(address) || allowed(address);
}

/** Throws an AppError if the host of a URL is an address that may not be reached. A name is checked when it is resolved. */
export function assertLiteralAllowed(url: URL, mayReach: AddressSet): void {
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0 && !mayReach(address)) throw rejection(address);
}

/** Creates the `lookup` option of a socket: it resolves a name and fails if any of its addresses may not be reached. */
export function createCheckedLookup(mayReach: AddressSet, resolve: Resolve): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (addresses) => {
        const refused = addresses.find(({ address }) => !mayReach(address));
        const [first] = addresses;
        if (refused !== undefined) callback(rejection(refused.address), '');
        else if (first === undefined) callback(new Error(`The name ${host} has no address.`), '');
        else if (options.all === true) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), ''),
    );
  };
}

/** The detail does not name the address, because it would let a caller explore the internal network. */
function rejection(address: string): AppError {
  return new AppError('outgoing_refused', 'The URL leads to an address that this server does not call.', {
    cause: new Error(
      `${address} is not a public address, and APP_OUTGOING_ALLOWED_ADDRESSES does not contain it`,
    ),
  });
}

/**
 * The look-ups of a process that may run at once. Each occupies one of the four threads that also hash passwords and read
 * files, for many seconds if no DNS server answers.
 */
const maxLookups = 2;
const maxWaiting = 100;

/** Creates a function that resolves names as the system does (`/etc/hosts`, then DNS). Look-ups of one name are shared. */
export function createSystemResolver(): Resolve {
  const running = new Map<string, Promise<readonly LookupAddress[]>>();
  const semaphore = createSemaphore({
    concurrency: maxLookups,
    lanes: { all: { maxRunning: maxLookups, maxWaiting, weight: 1 } },
    createFullError: () => new Error('Too many host names are being resolved.'),
  });
  return (host) => {
    const known = running.get(host);
    if (known !== undefined) return known;
    const started = semaphore
      .run({ lane: 'all', source: host }, () => resolveName(host))
      .finally(() => running.delete(host));
    running.set(host, started);
    return started;
  };
}

function resolveName(host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}
