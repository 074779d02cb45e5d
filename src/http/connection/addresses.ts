import { BlockList, isIP } from 'node:net';

/**
 * Addresses that are not of the public internet: private use (RFC 1918, RFC 4193), shared by a carrier (RFC 6598), loopback,
 * link-local, and those of a host without one.
 */
export const privateRanges: readonly string[] = [
  ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', '100.64.0.0/10'],
  ...['127.0.0.0/8', '::1', '169.254.0.0/16', 'fe80::/10', '0.0.0.0', '::'],
];

/** Returns whether the set contains an address. */
export type AddressSet = (address: string) => boolean;

/**
 * Creates a set of addresses and CIDR blocks: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. An IPv4 entry also matches the
 * IPv4-mapped IPv6 form. Throws a RangeError for an entry that is neither.
 */
export function createAddressSet(entries: readonly string[]): AddressSet {
  const list = new BlockList();
  for (const entry of entries) {
    const slash = entry.indexOf('/');
    const address = slash < 0 ? (canonicalAddress(entry) ?? entry) : entry.slice(0, slash);
    const prefix = slash < 0 ? undefined : entry.slice(slash + 1);
    const family = isIP(address);
    if (family === 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)))
      throw new RangeError(`"${entry}" is neither an IP address nor a CIDR block.`);
    const type = family === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(prefix), type);
  }
  return (address) => {
    const canonical = canonicalAddress(address);
    return canonical !== undefined && list.check(canonical, canonical.includes(':') ? 'ipv6' : 'ipv4');
  };
}

/**
 * Returns the canonical spelling of an address: IPv4, also if it is IPv4-mapped IPv6, as four decimal numbers; IPv6 as in RFC
 * 5952, without the zone, which is meaningful on one machine only. Undefined for any other text.
 */
export function canonicalAddress(text: string): string | undefined {
  const family = isIP(text);
  if (family === 0) return undefined;
  return family === 4 ? text : formatIPv6(parseIPv6(text));
}

/**
 * Returns the key under which limits count a client, the same for every spelling of its address. An IPv4 address is its own
 * key. An IPv6 address counts by its first 64 bits, because one subscriber gets a /64 and can use a new address for each
 * request. Other text is its own key.
 */
export function clientKey(address: string): string {
  if (!address.includes(':')) return address;
  if (address !== lastAddress) {
    lastKey = keyOfIPv6(address);
    lastAddress = address;
  }
  return lastKey;
}

/** The last result, because several layers need the key of one request, and parsing an IPv6 address takes 2.6 µs. */
let lastAddress = '';
let lastKey = '';

function keyOfIPv6(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = parseIPv6(address);
  if (isMapped(groups)) return formatIPv6(groups);
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(':')}::/64`;
}

/** Returns `192.0.2.1` for `::ffff:192.0.2.1`, as a dual-stack socket reports an IPv4 client; other text is unchanged. */
export function plainAddress(address: string): string {
  return address.startsWith('::') ? (mapped.exec(address)?.[1] ?? address) : address;
}
const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/** Returns the origin of an HTTP server: `http://127.0.0.1:8000`, `http://[::1]:8000`. */
export function httpOrigin(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Returns the eight groups of a valid IPv6 address. */
function parseIPv6(text: string): number[] {
  const [address = ''] = text.split('%');
  const [head = '', tail] = address.split('::');
  const groups = parseGroups(head);
  if (tail === undefined) return groups;
  const last = parseGroups(tail);
  return [...groups, ...Array<number>(8 - groups.length - last.length).fill(0), ...last];
}

/** Parses the groups between colons. The last one may be an IPv4 address, which is two groups. */
function parseGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** Returns whether an address is in `::ffff:0:0/96`, which is IPv4 (RFC 4291, section 2.5.5.2). */
function isMapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

function formatIPv6(groups: readonly number[]): string {
  if (isMapped(groups)) {
    const [high = 0, low = 0] = groups.slice(6);
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  const text = groups.map((group) => group.toString(16)).join(':');
  // The longest run of at least two zero groups is shortened to `::`; of equal runs, the first.
  const runs = text.match(/(?<![^:])0(?::0)+(?![^:])/g) ?? [];
  const zeroRun = runs.reduce((longer, run) => (run.length > longer.length ? run : longer), '');
  if (zeroRun === '') return text;
  const at = text.search(new RegExp(`(?<![^:])${zeroRun}(?![^:])`));
  const [before, after] = [text.slice(0, at), text.slice(at + zeroRun.length)];
  return `${before.replace(/:$/, '')}::${after.replace(/^:/, '')}`;
}
