import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addressRanges, bindAddress, hostPatterns, origins } from '../../../src/settings/kinds/network.ts';

/** Returns the only item that a list kind reads from a text, or the error message. */
function item(kind: ReturnType<typeof origins>, text: string): string {
  const read = kind.safeParse(text);
  return read.success ? (read.data[0] ?? 'nothing') : (read.error.issues[0]?.message ?? '');
}

describe('an origin', () => {
  for (const [text, origin] of [
    ['*', '*'],
    ['https://app.example.com', 'https://app.example.com'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['HTTPS://App.Example.COM', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['http://app.example.com:443', 'http://app.example.com:443'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['https://münchen.example', 'https://xn--mnchen-3ya.example'],
    ['capacitor://localhost', 'capacitor://localhost'],
  ] as const) {
    test(`the origin ${text} is read as ${origin}`, () => assert.equal(item(origins(), text), origin));
  }

  for (const [text, hint] of [
    ['https://app.example.com/', /has a path; write "https:\/\/app\.example\.com" without/],
    ['https://app.example.com/page', /has a path; write "https:\/\/app\.example\.com" without/],
    ['https://app.example.com?x', /has a path/],
    ['app.example.com', /has no scheme or no host; write it like "https:\/\/app\.example\.com"/],
    ['https://', /has no scheme or no host/],
    ['null', /has no scheme or no host/],
    ['https://*.example.com', /is a pattern; list each origin/],
    ['https://ada:hunter2@example.com', /no item may contain a user name/],
    ['https://example.com:99999', /not valid/],
    ['https://exa mple.com', /not valid/],
  ] as const) {
    test(`${text} is rejected with a hint`, () => assert.match(item(origins(), text), hint));
  }
});

describe('an allowed host', () => {
  for (const [text, pattern] of [
    ['*', '*'],
    ['API.example.com', 'api.example.com'],
    ['*.example.com', '*.example.com'],
    ['localhost', 'localhost'],
    ['my_service', 'my_service'],
    ['10.0.0.1', '10.0.0.1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['[::1]', '::1'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['Api.Example.com.', 'api.example.com'],
    ['*.example.com.', '*.example.com'],
  ] as const) {
    test(`${text} is read as ${pattern}`, () => {
      assert.equal(item(hostPatterns(), JSON.stringify([text])), pattern);
    });
  }

  for (const [text, hint] of [
    ['https://api.example.com', /has a scheme/],
    ['api.example.com:8000', /has a port/],
    ['[::1]:8000', /has a port/],
    ['api.example.com/', /has a path/],
    ['api..example.com', /is not a host name/],
    ['*example.com', /is not a host name/],
    ['a.*.example.com', /is not a host name/],
    ['*.10.0.0.1', /is not a host name/],
    ['300.1.1.1', /is not a host name/],
    ['-a.example', /is not a host name/],
    [`${'a'.repeat(64)}.example`, /is not a host name/],
    ['exa mple', /is not a host name/],
  ] as const) {
    test(`${text} is rejected with a hint`, () => {
      assert.match(item(hostPatterns(), JSON.stringify([text])), hint);
    });
  }
});

describe('a trusted proxy', () => {
  for (const text of [
    '10.0.0.1',
    '10.0.0.0/8',
    '0.0.0.0/0',
    '::1',
    'fd00::/8',
    '::ffff:10.0.0.1',
    '10.0.0.1/32',
  ]) {
    test(`${text} is accepted`, () => assert.equal(item(addressRanges(), text), text));
  }

  for (const [text, hint] of [
    ['proxy.example.com', /is not an IP address/],
    ['10.0.0', /is not an IP address/],
    ['10.0.0.1:80', /is not an IP address/],
    ['fe80::1%eth0', /is not an IP address/],
    ['10.0.0.0/33', /prefix length from 0 to 32/],
    ['10.0.0.0/', /prefix length from 0 to 32/],
    ['10.0.0.0/08', /prefix length from 0 to 32/],
    ['10.0.0.0/8/8', /prefix length from 0 to 32/],
    ['10.0.0.0/255.0.0.0', /prefix length from 0 to 32/],
    ['fd00::/129', /prefix length from 0 to 128/],
    ['fd00::/-1', /prefix length from 0 to 128/],
  ] as const) {
    test(`${text} is rejected with a hint`, () => assert.match(item(addressRanges(), text), hint));
  }
});

describe('an address to listen on', () => {
  for (const text of ['127.0.0.1', '0.0.0.0', '::', '::1', 'localhost', 'node-1.internal']) {
    test(`${text} is accepted`, () => assert.equal(bindAddress().parse(text), text));
  }

  for (const text of ['*', '127.0.0.1:8000', '[::]', 'http://localhost', '1.2.3', 'a b', '/tmp/socket']) {
    test(`${text} is refused`, () => assert.equal(bindAddress().safeParse(text).success, false));
  }

  test('* is refused with the addresses that mean every interface', () => {
    assert.match(bindAddress().safeParse('*').error?.issues[0]?.message ?? '', /0\.0\.0\.0 or ::/);
  });
});
