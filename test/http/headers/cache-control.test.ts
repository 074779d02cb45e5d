import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Layer } from '../../../src/http/context.ts';
import { ok } from '../../../src/http/reply.ts';
import type { RouteCache } from '../../../src/http/route-declaration.ts';
import { assertRoutePolicies } from '../../../src/http/route-policy.ts';
import { etag } from '../../../src/middleware/content/etag.ts';
import { securityHeaders } from '../../../src/middleware/security-headers.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { ada } from '../../helpers/test-principals.ts';
import { testRoute } from '../../helpers/test-route.ts';

const day: RouteCache = { scope: 'public', maxAge: 86_400 };
const noStore = 'no-store, max-age=0';

const layers: readonly Layer[] = [
  {
    name: 'security-headers',
    run: securityHeaders({ hsts: false, hstsPreload: false, contentSecurityPolicy: undefined, server: '' }),
  },
  {
    name: 'authenticate',
    run(ctx, next) {
      if (ctx.request.headers['x-api-key'] !== undefined) ctx.principal = ada;
      return next(ctx);
    },
  },
  { name: 'etag', run: etag() },
];

describe('a route that declares cache', () => {
  for (const [cache, expected] of [
    [day, 'public, max-age=86400'],
    [{ ...day, immutable: true }, 'public, max-age=86400, immutable'],
    [{ scope: 'private', maxAge: 60 }, 'private, max-age=60'],
    [{ scope: 'public', maxAge: 0 }, 'public, no-cache'],
  ] as const) {
    it(`${JSON.stringify(cache)} is sent as ${expected}`, async (t) => {
      const server = await mustStartServer(t, {
        layers,
        routes: [testRoute('GET', '/', () => 1, { cache })],
      });
      assert.equal((await server.request()).headers['cache-control'], expected);
    });
  }

  it('names the request headers that its response depends on in Vary', async (t) => {
    const routes = [testRoute('GET', '/', () => 1, { cache: { ...day, vary: ['Accept-Language'] } })];
    const server = await mustStartServer(t, { layers, routes });
    assert.equal((await server.request()).headers.vary, 'Accept-Language');
  });

  it('has a private response if the request has credentials or the response sets a cookie', async (t) => {
    const routes = [
      testRoute('GET', '/', () => 1, { cache: day }),
      testRoute('GET', '/cookie', () => ok(1, { 'set-cookie': 'a=b' }), { cache: day }),
    ];
    const server = await mustStartServer(t, { layers, routes });
    for (const options of [
      { headers: { authorization: 'Bearer x' } },
      { headers: { 'x-api-key': 'x' } },
      { path: '/cookie' },
    ]) {
      assert.equal(
        (await server.request(options)).headers['cache-control'],
        'private, max-age=86400',
        JSON.stringify(options),
      );
    }
  });

  it('sends its Cache-Control with 304, and no-store with every error', async (t) => {
    const routes = [
      testRoute('GET', '/', () => ok(1, { etag: '"v1"' }), { cache: day }),
      testRoute('GET', '/asked', () => ok(1, { etag: '"v1"' }), { cache: { scope: 'public', maxAge: 0 } }),
    ];
    const server = await mustStartServer(t, { layers, routes });
    for (const [headers, status, control] of [
      [{ 'if-none-match': '"v1"' }, 304, 'public, max-age=86400'],
      // Rejected after the handler has replied.
      [{ 'if-match': '"v2"' }, 412, noStore],
    ] as const) {
      const answer = await server.request({ headers });
      assert.deepEqual([answer.status, answer.headers['cache-control']], [status, control]);
    }
    assert.equal(
      (await server.request({ path: '/asked', headers: { 'if-match': '"v2"' } })).headers['cache-control'],
      noStore,
    );
    assert.equal((await server.request({ path: '/other' })).headers['cache-control'], noStore);
  });
});

it('a declaration that is invalid or would share the response of one caller stops the start', () => {
  const start = (facts: Parameters<typeof testRoute>[3], method: 'GET' | 'POST' = 'GET') =>
    assertRoutePolicies([testRoute(method, '/a', () => 1, facts)]);
  for (const auth of ['own', 'user', 'apiKey', 'any'] as const) {
    assert.throws(
      () => start({ auth, cache: day }),
      /GET \/a is public, but its response belongs to one caller/,
    );
    start({ auth, cache: { scope: 'private', maxAge: 60 } });
  }
  assert.throws(() => start({ readsAccessToken: true, cache: day }), /belongs to one caller/);
  assert.throws(() => start({ cache: day }, 'POST'), /only responses to GET/);
  for (const maxAge of [-1, 0.5, 31_536_001, Number.NaN]) {
    assert.throws(() => start({ cache: { scope: 'public', maxAge } }), /needs a maxAge/);
  }
  assert.throws(() => start({ cache: { ...day, vary: ['a b'] } }), /varies by a b/);
  start({ cache: day });
});
