import { BlockList, isIP, isIPv4 } from 'node:net';

/** Whether an address belongs to a set. */
export type AddressSet = (address: string) => boolean;

/**
 * A set of addresses and CIDR blocks: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. An IPv4 entry covers the
 * IPv4-mapped IPv6 form too. Throws a RangeError for an entry that is neither.
 */
export function createAddressSet(entries: readonly string[]): AddressSet {
  const list = new BlockList();
  for (const entry of entries) {
    const slash = entry.indexOf('/');
    const address = slash < 0 ? entry : entry.slice(0, slash);
    const prefix = slash < 0 ? undefined : entry.slice(slash + 1);
    const family = isIP(address);
    if (family === 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)))
      throw new RangeError(`"${entry}" is neither an IP address nor a CIDR block.`);
    const type = family === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(prefix), type);
  }
  return (address) => {
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/**
 * What stands for one client in a limit: an IPv4 address as it is, an IPv6 address by its first 64 bits,
 * because a single subscriber is given that many and can use a new address for each request.
 */
export function clientKey(address: string): string {
  return address.includes(':') ? ipv6Prefix(address) : address;
}

/** Where an HTTP server listens: `http://127.0.0.1:8000`, `http://[::1]:8000`. */
export function httpOrigin(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The first four groups of an IPv6 address, written out: `2001:db8::1` gives `2001:db8:0:0::/64`. */
function ipv6Prefix(address: string): string {
  const [bare = ''] = address.split('%');
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const tailGroups =
      tail === '' ? 0 : tail.split(':').length + (isIPv4(tail.slice(tail.lastIndexOf(':') + 1)) ? 1 : 0);
    const missing = 8 - groups.length - tailGroups;
    for (let i = 0; i < missing; i += 1) groups.push('0');
    if (tail !== '') groups.push(...tail.split(':'));
  }
  const prefix = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, '').toLowerCase());
  return `${prefix.join(':')}::/64`;
}
