import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createHostSet, hostName, isHostField } from '../../../src/http/headers/host.ts';

describe('a Host field', () => {
  const valid = [
    '',
    'example.org',
    'EXAMPLE.org:8080',
    'example.org.',
    'a_b.example',
    'xn--caf-dma.example',
    '192.0.2.1:80',
    '[::1]',
    '[2001:db8::192.0.2.1]:443',
    'example.org:',
  ];
  for (const host of valid) it(`"${host}" is valid`, () => assert.equal(isHostField(host), true));

  const invalid = [
    ':80',
    'a b',
    'example.org:http',
    'example.org:123456',
    'example.org:80:80',
    'user@example.org',
    'example.org/path',
    'example.org?x',
    'example.org, other.example',
    '[::1',
    '[::g]',
    '[:::]',
    '[1:2:3:4:5:6:7:8:9]',
    '[192.0.2.1]',
    '[fe80::1%25eth0]',
    '::1',
    'café.example',
    "example.org';--",
    'x'.repeat(256),
  ];
  for (const host of invalid) {
    it(`"${host.slice(0, 40)}" is not valid`, () => assert.equal(isHostField(host), false));
  }
});

describe('the name in a Host field', () => {
  const table: [host: string, name: string][] = [
    ['Example.ORG:8080', 'example.org'],
    ['example.org.', 'example.org'],
    ['example.org.:80', 'example.org'],
    ['example.org..', 'example.org..'],
    ['.', '.'],
    ['', ''],
    ['192.0.2.1:80', '192.0.2.1'],
    ['[::1]:80', '::1'],
    ['[2001:DB8:0:0::1]', '2001:db8::1'],
    ['[::ffff:c000:201]', '192.0.2.1'],
  ];
  for (const [host, name] of table) it(`of "${host}" is "${name}"`, () => assert.equal(hostName(host), name));
});

it('a set of hosts matches a pattern in every spelling', () => {
  const has = createHostSet(['Example.org.', '*.Example.com', '2001:DB8:0::1']);
  for (const host of ['example.org', 'a.example.com', '[2001:db8::1]:80'])
    assert.ok(has(hostName(host)), host);
  for (const host of ['example.com', '*.example.com.evil', '[2001:db8::2]'])
    assert.ok(!has(hostName(host)), host);
});
