import assert from 'node:assert/strict';
import { BlockList, SocketAddress } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  canonicalAddress,
  clientKey,
  createAddressSet,
  plainAddress,
} from '../../../src/http/connection/addresses.ts';

const isMapped = (groups: readonly number[]) => groups.slice(0, 6).join() === '0,0,0,0,0,65535';

describe('a set of addresses', () => {
  const has = createAddressSet(['192.0.2.1', '10.0.0.0/8', '::1', '2001:db8::/32']);
  const table: [address: string, member: boolean][] = [
    ['192.0.2.1', true],
    ['192.0.2.2', false],
    ['10.0.0.0', true],
    ['10.255.255.255', true],
    ['11.0.0.0', false],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['::2', false],
    ['2001:db8:ffff::1', true],
    ['2001:DB8::1', true],
    ['2001:db9::1', false],
    ['::ffff:10.1.2.3', true],
    ['::ffff:192.0.2.2', false],
    ['::ffff:a01:203', true],
    ['0:0:0:0:0:FFFF:10.1.2.3', true],
    ['2001:db8::1%eth0', true],
    ['', false],
    ['unknown', false],
    ['10.0.0', false],
    ['10.0.0.1:80', false],
  ];
  for (const [address, member] of table) {
    it(`a set of addresses and blocks ${member ? 'contains' : 'does not contain'} "${address}"`, () =>
      assert.equal(has(address), member));
  }

  it('without entries is empty', () => assert.equal(createAddressSet([])('127.0.0.1'), false));

  const wrong = [
    '',
    'localhost',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/8x',
    '10.0.0.0/255.0.0.0',
    '::1/129',
    '10.0.0',
  ];
  for (const entry of wrong) {
    it(`is not made of "${entry}"`, () => assert.throws(() => createAddressSet([entry]), RangeError));
  }
});

describe('the key of a client', () => {
  const table: [address: string, key: string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['0000:0000:0000:0000:0000:FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1%eth0', '192.0.2.1'],
    ['::ffff:0:192.0.2.1', '0:0:0:0::/64'],
    ['', ''],
    ['unknown', 'unknown'],
  ];
  for (const [address, key] of table) {
    it(`at ${address} is ${key}`, () => assert.equal(clientKey(address), key));
  }

  it('the addresses of one /64 share a client key, in every spelling, and others do not', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    const groups = fc.array(fc.oneof(fc.constant(0), group), { minLength: 8, maxLength: 8 });
    // An IPv4-mapped address counts as its IPv4 address, not by its first 64 bits.
    fc.assert(
      fc.property(groups, groups, (one, other) => {
        fc.pre(![one, other, [...one.slice(0, 4), ...other.slice(4)]].some(isMapped));
        const written = one.map((each) => each.toString(16).padStart(4, '0').toUpperCase()).join(':');
        // The URL parser writes the shortest form.
        const shortest = new URL(`http://[${written}]`).hostname.slice(1, -1);
        assert.equal(clientKey(written), clientKey(shortest));
        const neighbour = [...one.slice(0, 4), ...other.slice(4)].map((each) => each.toString(16)).join(':');
        assert.equal(clientKey(neighbour), clientKey(shortest));
        const isSame = one.slice(0, 4).join() === other.slice(0, 4).join();
        assert.equal(
          clientKey(other.map((each) => each.toString(16)).join(':')) === clientKey(shortest),
          isSame,
        );
      }),
      { numRuns: 500 },
    );
  });
});

/** Arbitrary IPv6 addresses as groups, many of them with special forms. */
const groupsOf = fc.oneof(
  fc.array(fc.oneof(fc.constantFrom(0, 0, 0xffff), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  }),
  fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([high, low]) => [0, 0, 0, 0, 0, 0xffff, high, low]),
  fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([high, low]) => [0, 0, 0, 0, 0, 0, high, low]),
  fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([high, low]) => [0x64, 0xff9b, 0, 0, 0, 0, high, low]),
);

/** The variations of the spelling of an address (RFC 4291, section 2.2; RFC 4007, section 11). */
const spelling = fc.record({
  padded: fc.boolean(),
  upperCase: fc.boolean(),
  dotted: fc.boolean(),
  /** Which run of zeros is shortened. */
  compressed: fc.option(fc.nat(7)),
  zone: fc.constantFrom('', '%eth0', '%1', '%25lo'),
});

function spell(
  groups: readonly number[],
  how: typeof spelling extends fc.Arbitrary<infer Value> ? Value : never,
): string {
  const hex = groups.map((group) => group.toString(16).padStart(how.padded ? 4 : 1, '0'));
  const [high = 0, low = 0] = groups.slice(6);
  if (how.dotted) hex.splice(6, 2, [high >> 8, high & 255, low >> 8, low & 255].join('.'));
  let text = hex.join(':');
  const from = how.compressed ?? 8;
  if (groups[from] === 0 && from < hex.length && !(hex[from] ?? '').includes('.')) {
    let to = from + 1;
    while (to < hex.length && groups[to] === 0 && !(hex[to] ?? '').includes('.')) to += 1;
    text = `${hex.slice(0, from).join(':')}::${hex.slice(to).join(':')}`;
  }
  return `${how.upperCase ? text.toUpperCase() : text}${how.zone}`;
}

const dottedOf = (groups: readonly number[]) => {
  const [high = 0, low = 0] = groups.slice(6);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
};

describe('every spelling of an address', () => {
  it('the canonical form of an address is that of SocketAddress in Node, or its IPv4 form', () => {
    fc.assert(
      fc.property(groupsOf, spelling, (groups, how) => {
        const plain = groups.map((group) => group.toString(16)).join(':');
        // The URL Standard does not write the dotted form, which RFC 5952 allows.
        const reference = isMapped(groups)
          ? dottedOf(groups)
          : new URL(`http://[${plain}]`).hostname.slice(1, -1);
        assert.equal(canonicalAddress(spell(groups, how)), reference);
        assert.ok(new SocketAddress({ address: reference, family: isMapped(groups) ? 'ipv4' : 'ipv6' }));
      }),
      { numRuns: 3000 },
    );
  });

  it('every spelling of an address has the same client key, and no address outside of its /64 has it', () => {
    fc.assert(
      fc.property(groupsOf, groupsOf, spelling, spelling, fc.nat(8), (one, other, how, otherHow, shared) => {
        const neighbour = [...one.slice(0, shared), ...other.slice(shared)];
        const list = new BlockList();
        if (isMapped(one)) list.addAddress(dottedOf(one), 'ipv4');
        else list.addSubnet(one.map((group) => group.toString(16)).join(':'), 64, 'ipv6');
        // The block ::/64 contains the mapped addresses, which count as IPv4.
        const expected = isMapped(neighbour)
          ? isMapped(one) && list.check(dottedOf(neighbour), 'ipv4')
          : !isMapped(one) && list.check(neighbour.map((group) => group.toString(16)).join(':'), 'ipv6');
        assert.equal(clientKey(spell(one, how)) === clientKey(spell(neighbour, otherHow)), expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('an IPv4 address is its own client key, which only its mapped forms share', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), spelling, (high, low, how) => {
        const groups = [0, 0, 0, 0, 0, 0xffff, high, low];
        assert.equal(canonicalAddress(dottedOf(groups)), dottedOf(groups));
        assert.equal(clientKey(spell(groups, how)), dottedOf(groups));
      }),
    );
  });

  for (const text of [
    '',
    'unknown',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.4:80',
    '[::1]',
    '::1::',
    '1:2:3:4:5:6:7:8:9',
    ':::',
  ]) {
    it(`"${text}" is no address`, () => assert.equal(canonicalAddress(text), undefined));
  }
});

describe('the plain form of an address', () => {
  const table: [given: string, plain: string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['::', '::'],
    ['::ffff:1', '::ffff:1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::192.0.2.1'],
    ['', ''],
  ];
  for (const [given, plain] of table) {
    it(`the plain form of "${given}" is "${plain}"`, () => assert.equal(plainAddress(given), plain));
  }
});
