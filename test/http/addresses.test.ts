import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clientKey, createAddressSet } from '../../src/http/addresses.ts';

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
    ['', false],
    ['unknown', false],
    ['10.0.0', false],
    ['10.0.0.1:80', false],
  ];
  for (const [address, member] of table) {
    it(`of addresses and blocks has ${member ? '' : 'not '}"${address}"`, () =>
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
  ];
  for (const [address, key] of table) {
    it(`at ${address} is ${key}`, () => assert.equal(clientKey(address), key));
  }

  it('is one for a /64, and another for any other, however the address is written', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    const groups = fc.array(fc.oneof(fc.constant(0), group), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, groups, (one, other) => {
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
