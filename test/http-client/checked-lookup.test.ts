import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isPublicAddress } from '../../src/http-client/checked-lookup.ts';

const cases: Readonly<Record<'public' | 'not public', readonly string[]>> = {
  public: [
    '1.1.1.1',
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
  ],
  'not public': [
    ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255'],
    ...['::', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::1'],
    ...['fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '100::1'],
    ...['2001::1', '2001:db8::1', '2002:7f00:1::1', '3fff::1', '5f00::1', 'localhost', ''],
  ],
};

describe('the check of addresses for outgoing requests', () => {
  for (const [verdict, addresses] of Object.entries(cases)) {
    for (const address of addresses) {
      it(`"${address}" is ${verdict}`, () => {
        assert.equal(isPublicAddress(address), verdict === 'public');
      });
    }
  }
});
