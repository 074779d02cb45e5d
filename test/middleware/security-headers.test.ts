import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import helmet from 'helmet';
import { compose } from '../../src/http/compose.ts';
import { type SecurityHeadersOptions, securityHeaders } from '../../src/middleware/security-headers.ts';
import { makeContext } from '../helpers/context.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

const defaults: SecurityHeadersOptions = {
  hsts: false,
  hstsPreload: false,
  contentSecurityPolicy: undefined,
  server: '',
};

/** Returns the headers that the layer sets for a request over `scheme`. */
function headersOf(options: Partial<SecurityHeadersOptions> = {}, scheme: 'http' | 'https' = 'http') {
  const ctx = makeContext();
  ctx.scheme = scheme;
  compose(
    [{ name: 'security-headers', run: securityHeaders({ ...defaults, ...options }) }],
    () => undefined,
  )(ctx);
  return ctx.headers;
}

describe('the security headers', () => {
  it('the security headers forbid all browser features that an API response does not need', () => {
    assert.deepEqual(
      { ...headersOf() },
      {
        'content-security-policy':
          "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'strict-origin-when-cross-origin',
        'permissions-policy': 'camera=(), microphone=()',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store, max-age=0',
      },
    );
  });

  it('the configured policy is sent beside the built-in one, which it cannot weaken, and the server name is sent', () => {
    const headers = headersOf({ contentSecurityPolicy: "default-src 'self'", server: 'undisclosed' });
    assert.deepEqual(
      [headers['content-security-policy'], headers.server],
      [
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none', default-src 'self'",
        'undisclosed',
      ],
    );
  });

  it('HSTS is sent only on HTTPS requests, and only if enabled', () => {
    assert.equal(headersOf({ hsts: true }, 'http')['strict-transport-security'], undefined);
    assert.equal(headersOf({ hsts: false }, 'https')['strict-transport-security'], undefined);
    assert.equal(
      headersOf({ hsts: true }, 'https')['strict-transport-security'],
      'max-age=31536000; includeSubDomains',
    );
    const preloaded = headersOf({ hsts: true, hstsPreload: true }, 'https')['strict-transport-security'];
    assert.equal(preloaded, 'max-age=31536000; includeSubDomains; preload');
  });

  it('error responses have the security headers too, and a route may replace one', async (t) => {
    const server = await mustStartServer(t, {
      layers: [{ name: 'security-headers', run: securityHeaders(defaults) }],
      routes: [
        testRoute('GET', '/cached', () => 1, { cache: { scope: 'public', maxAge: 60 } }),
        testRoute('GET', '/broken', () => assert.fail('broken')),
      ],
    });
    for (const path of ['/cached', '/broken', '/nothing', '/%zz']) {
      const { headers } = await server.request({ path });
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.equal(
        headers['cache-control'],
        path === '/cached' ? 'public, max-age=60' : 'no-store, max-age=0',
        path,
      );
    }
  });
});

describe('comparison with helmet and the same options', () => {
  const theirs: Record<string, string> = {};
  const { request, response } = makeContext();
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
      },
    },
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'strict-origin-when-cross-origin' },
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: true, preload: true },
    frameguard: { action: 'deny' },
  })(request, response, () => {
    for (const [name, value] of Object.entries(response.getHeaders())) theirs[name] = String(value);
  });
  const ours = headersOf({ hsts: true, hstsPreload: true }, 'https');
  const directives = (policy: unknown) =>
    String(policy)
      .split(';')
      .map((each) => each.trim());

  // Set by helmet only. The first four address old browsers, or Flash and PDF readers, which are irrelevant for an
  // API. The last requests a separate process, which a response that is not a page does not need.
  const theirsAlone = [
    'x-dns-prefetch-control',
    'x-download-options',
    'x-permitted-cross-domain-policies',
    'x-xss-protection',
    'origin-agent-cluster',
  ];
  // Set by our layer only: helmet does not set them.
  const oursAlone = ['permissions-policy', 'cache-control'];

  for (const name of Object.keys(theirs).filter((each) => !theirsAlone.includes(each))) {
    it(`${name} has the same value as from helmet`, () => {
      const [our, their] = [ours[name], theirs[name]];
      if (name === 'content-security-policy') assert.deepEqual(directives(our), directives(their));
      else assert.equal(our, their);
    });
  }

  it('only the listed headers differ from helmet', () => {
    const without = (names: string[], these: string[]) =>
      names.filter((each) => !these.includes(each)).sort();
    assert.deepEqual(without(Object.keys(theirs), Object.keys(ours)), [...theirsAlone].sort());
    assert.deepEqual(without(Object.keys(ours), Object.keys(theirs)), [...oursAlone].sort());
  });
});
