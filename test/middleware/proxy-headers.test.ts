import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import proxyAddress from 'proxy-addr';
import { compose } from '../../src/http/compose.ts';
import { canonicalAddress } from '../../src/http/connection/addresses.ts';
import { proxyHeaders } from '../../src/middleware/proxy-headers.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext } from '../helpers/context.ts';

const trusted = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'];

/** Returns the client address, scheme and host of a request with these headers from this peer. */
function clientOf(
  headers: Record<string, string>,
  { peer = '127.0.0.1', trust = trusted, captured = captureLog() } = {},
) {
  const ctx = makeContext({ headers: { host: 'inner:8000', ...headers }, peer });
  const run = proxyHeaders({ log: captured.log, trusted: trust });
  compose([{ name: 'proxy-headers', run }], () => undefined)(ctx);
  return { address: ctx.clientAddress, scheme: ctx.scheme, host: ctx.host };
}

describe('X-Forwarded-For', () => {
  const table: [header: string, address: string][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['203.0.113.7, 10.0.0.2, 10.9.9.9', '203.0.113.7'],
    ['1.1.1.1, 203.0.113.7', '203.0.113.7'],
    ['127.0.0.1, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['10.0.0.1, 10.0.0.2', '10.0.0.1'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['203.0.113.7, [2001:db8::1]:443', '203.0.113.7'],
    ['2001:470::7', '2001:470::7'],
    ['[2001:470::7]', '2001:470::7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['203.0.113.7, ::ffff:10.0.0.2', '203.0.113.7'],
    ['203.0.113.7,10.0.0.2 ', '203.0.113.7'],
    ['', '127.0.0.1'],
    [',', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
    ['203.0.113.7, unknown', '127.0.0.1'],
    ['203.0.113.7, garbage, 10.0.0.2', '10.0.0.2'],
    ['1.2.3.4.5', '127.0.0.1'],
    ["'; DROP TABLE users; --", '127.0.0.1'],
  ];
  for (const [header, address] of table) {
    it(`X-Forwarded-For "${header}" from a trusted peer gives ${address}`, () => {
      assert.equal(clientOf({ 'x-forwarded-for': header }).address, address);
    });
  }

  it('X-Forwarded-For from an untrusted peer is ignored', () => {
    const headers = {
      'x-forwarded-for': '1.1.1.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example',
    };
    assert.deepEqual(clientOf(headers, { peer: '203.0.113.9' }), {
      address: '203.0.113.9',
      scheme: 'http',
      host: 'inner:8000',
    });
    assert.equal(clientOf(headers, { trust: [] }).address, '127.0.0.1');
  });

  it('X-Forwarded-For is followed over at most 32 hops', () => {
    const chain = ['203.0.113.7', ...Array.from({ length: 32 }, (_, index) => `10.0.0.${index}`)];
    assert.equal(clientOf({ 'x-forwarded-for': chain.join(', ') }).address, '10.0.0.0');
    assert.equal(clientOf({ 'x-forwarded-for': chain.slice(0, 32).join(', ') }).address, '203.0.113.7');
  });

  // Plain addresses only: proxy-addr supports neither ports nor IPv6 addresses with an IPv4 suffix.
  it('X-Forwarded-For gives the same address as the package proxy-addr for any chain', () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.integer({ min: 0, max: 0xffffff }).map((low) => `10.${low >> 16}.${(low >> 8) & 255}.${low & 255}`),
      fc.ipV6().filter((each) => !each.includes('.') && !/^(?:0*:){2,6}ffff:/i.test(each)),
      fc.integer({ min: 0, max: 0xffff }).map((low) => `2001:db8::${low.toString(16)}`),
      fc.constant('127.0.0.1'),
    );
    const block = fc.oneof(
      fc.constantFrom(...trusted, '::1', '0.0.0.0/1', '8000::/1'),
      fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 32 })).map(([ip, bits]) => `${ip}/${bits}`),
    );
    const separator = fc.constantFrom(', ', ',', ' , ');
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 4 }),
        address,
        fc.array(address, { maxLength: 6 }),
        separator,
        (trust, peer, chain, between) => {
          const headers = { 'x-forwarded-for': chain.join(between) };
          const { request } = makeContext({ headers });
          Object.defineProperty(request.socket, 'remoteAddress', { value: peer });
          const expected = chain.length === 0 ? peer : proxyAddress(request, trust);
          assert.equal(
            canonicalAddress(clientOf(headers, { peer, trust }).address),
            canonicalAddress(expected),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('X-Forwarded-Proto and X-Forwarded-Host', () => {
  const table: [headers: Record<string, string>, scheme: string, host: string][] = [
    [{ 'x-forwarded-proto': 'https' }, 'https', 'inner:8000'],
    [{ 'x-forwarded-proto': 'HTTPS' }, 'https', 'inner:8000'],
    [{ 'x-forwarded-proto': 'javascript' }, 'http', 'inner:8000'],
    [
      { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'API.example' },
      'https',
      'api.example',
    ],
    // A single value is from the nearest proxy, whatever the length of the chain.
    [{ 'x-forwarded-for': '203.0.113.7, 10.0.0.2', 'x-forwarded-proto': 'https' }, 'https', 'inner:8000'],
    // One value per proxy: the one that the first trusted proxy received counts.
    [
      { 'x-forwarded-for': '203.0.113.7, 10.0.0.2', 'x-forwarded-proto': 'https, http' },
      'https',
      'inner:8000',
    ],
    // The values before it are from the client.
    [{ 'x-forwarded-for': '1.1.1.1, 203.0.113.7', 'x-forwarded-proto': 'https, http' }, 'http', 'inner:8000'],
    [
      {
        'x-forwarded-for': '203.0.113.7',
        'x-forwarded-proto': 'https, http',
        'x-forwarded-host': 'evil.example, api.example',
      },
      'http',
      'api.example',
    ],
  ];
  for (const [headers, scheme, host] of table) {
    it(`${JSON.stringify(headers)} gives ${scheme}://${host}`, () => {
      const client = clientOf(headers);
      assert.deepEqual([client.scheme, client.host], [scheme, host]);
    });
  }
});

describe('Forwarded (RFC 7239)', () => {
  const table: [header: string, address: string, scheme?: string, host?: string][] = [
    ['for=203.0.113.7', '203.0.113.7'],
    ['For="203.0.113.7:4711"', '203.0.113.7'],
    ['for=203.0.113.7:4711', '203.0.113.7'],
    ['for="[2001:470::7]"', '2001:470::7'],
    ['for="[2001:470::7]:4711"', '2001:470::7'],
    ['for=203.0.113.7;proto=https;by=10.0.0.1', '203.0.113.7', 'https'],
    ['proto=HTTPS;host="API.example:8443";for=203.0.113.7', '203.0.113.7', 'https', 'api.example:8443'],
    ['for=1.1.1.1, for=203.0.113.7', '203.0.113.7'],
    ['for=203.0.113.7, for=10.0.0.2', '203.0.113.7'],
    ['for=203.0.113.7;proto=https, for=10.0.0.2;proto=http', '203.0.113.7', 'https'],
    ['for=1.1.1.1;proto=https;host=evil.example, for=203.0.113.7;proto=http', '203.0.113.7'],
    ['for=203.0.113.7 ; proto = https', '203.0.113.7', 'https'],
    ['for=203.0.113.7;secret="a;b,c=\\"d"', '203.0.113.7'],
    ['for=unknown', '127.0.0.1'],
    ['for=_hidden, for=10.0.0.2', '10.0.0.2'],
    ['for=_hidden;proto=https', '127.0.0.1', 'https'],
    ['by=10.0.0.1', '127.0.0.1'],
    ['', '127.0.0.1'],
    [';;,,==', '127.0.0.1'],
    ['for="203.0.113.7', '127.0.0.1'],
    // A quotation mark that the client left open must not swallow the entries that the proxy appended.
    ['for=1.1.1.1;x=", for=203.0.113.7;proto=http', '203.0.113.7'],
    ['for="1.1.1.1, for=203.0.113.7', '203.0.113.7'],
    ['for=1.1.1.1;x="\\, for="[2001:470::7]"', '2001:470::7'],
  ];
  for (const [header, address, scheme = 'http', host = 'inner:8000'] of table) {
    it(`Forwarded "${header}" gives ${address} at ${scheme}://${host}`, () => {
      assert.deepEqual(clientOf({ forwarded: header }), { address, scheme, host });
    });
  }

  it('Forwarded is ignored beside X-Forwarded-For, because the proxy wrote the latter', () => {
    const headers = { forwarded: 'for=1.1.1.1;proto=https', 'x-forwarded-for': '203.0.113.7' };
    assert.deepEqual(clientOf(headers), { address: '203.0.113.7', scheme: 'http', host: 'inner:8000' });
  });

  it('Forwarded with any text gives an address contained in it, or the peer', () => {
    const piece = fc.constantFrom(
      'for=',
      '"',
      ';',
      ',',
      '\\',
      '=',
      '[',
      ']',
      ':',
      '10.0.0.2',
      '203.0.113.7',
      'proto=https',
      ' ',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const forwarded = pieces.join('');
        const { address } = clientOf({ forwarded });
        // "::" is an address too, and colons can form other addresses.
        const isForwarded = isIP(address) !== 0 && forwarded.replaceAll('\\', '').includes(address);
        assert.equal(address === '127.0.0.1' || isForwarded, true, address);
      }),
    );
  });
});

describe('headers from an untrusted peer', () => {
  it('forwarding headers from an untrusted peer are logged once, with the settings to change', () => {
    const captured = captureLog();
    const run = proxyHeaders({ log: captured.log, trusted: [] });
    for (let times = 0; times < 3; times += 1) {
      void run(
        makeContext({ headers: { 'x-forwarded-for': '1.1.1.1' }, peer: '203.0.113.9' }),
        () => undefined,
      );
    }
    const [line, ...more] = captured.of('proxy.untrusted_peer');
    assert.deepEqual([line?.peer, more], ['203.0.113.9', []]);
    assert.match(String(line?.advice), /SECURITY_TRUST_PROXY_HEADERS.*SECURITY_TRUSTED_PROXIES/);
  });
});

describe('a forwarded address', () => {
  const table: [node: string, address: string][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['203.0.113.7:_hidden', '203.0.113.7'],
    ['[2001:DB9::1]', '2001:db9::1'],
    ['[2001:db9:0:0::1]:4711', '2001:db9::1'],
    ['[2001:db9::1]:_port.1', '2001:db9::1'],
    ['2001:0db9::0001', '2001:db9::1'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['[::FFFF:cb00:7107]:80', '203.0.113.7'],
    ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[203.0.113.7]', '127.0.0.1'],
    ['203.0.113.7:123456', '127.0.0.1'],
    ['[2001:db9::1', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
    ['_hidden', '127.0.0.1'],
  ];
  for (const [node, address] of table) {
    it(`the node ${node} gives ${address} in X-Forwarded-For and in Forwarded`, () => {
      assert.equal(clientOf({ 'x-forwarded-for': node }).address, address);
      assert.equal(clientOf({ forwarded: `for="${node}"` }).address, address);
    });
  }

  it('the address of a proxy is trusted in any spelling', () => {
    for (const proxy of ['::ffff:10.0.0.1', '[::ffff:a00:1]:80', '2001:DB8:0::1', '10.0.0.1']) {
      assert.equal(clientOf({ 'x-forwarded-for': `203.0.113.7, ${proxy}` }).address, '203.0.113.7');
    }
  });
});

it('an invalid forwarded host is recorded as an error of the message', () => {
  for (const [headers, code] of [
    [{ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a b' }, 'bad_host'],
    [{ forwarded: 'for=203.0.113.7;host="x/y"' }, 'bad_host'],
    [{ forwarded: 'for=203.0.113.7;host="example.org:80"' }, undefined],
  ] as const) {
    const ctx = makeContext({ headers: { host: 'inner', ...headers } });
    proxyHeaders({ log: captureLog().log, trusted })(ctx, () => undefined);
    assert.equal(ctx.messageError?.code, code);
  }
});
