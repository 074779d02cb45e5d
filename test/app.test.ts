import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import * as z from 'zod';
import { createApp } from '../src/app.ts';
import { defaultApp } from '../src/cli/generated-pages.ts';
import { unusedParts } from '../src/cli/unused-parts.ts';
import { StartError } from '../src/errors.ts';
import type { Route } from '../src/http/route.ts';
import { fixedLayers, layerNames } from '../src/settings/layer-names.ts';
import { loadSettings } from '../src/settings/load.ts';
import { exchangeText } from './helpers/http-server.ts';
import { mustStartApp } from './helpers/test-app.ts';
import { testRoute } from './helpers/test-route.ts';
import { testSecret } from './helpers/test-secret.ts';

test('the pipeline has its layers in this order, outermost first', () => {
  assert.deepEqual(
    defaultApp().layers.map(({ name }) => name),
    [
      'metrics',
      'load-shedding',
      'error-boundary',
      'request-id',
      'request-log',
      'deadline',
      'proxy-headers',
      'security-headers',
      'ban-list',
      'trusted-host',
      'geo-block',
      'cors',
      'rate-limit',
      'message-errors',
      'https-policy',
      'authenticate',
      'authorise',
      'caller-limit',
      'content-validation',
      'circuit-breaker',
      'compression',
      'etag',
      'recheck-authority',
      'idempotency',
    ],
  );
});

test('every layer has a name by which it can be turned off, except those that are fixed', () => {
  assert.deepEqual(
    defaultApp()
      .layers.map(({ name }) => name)
      .filter((name) => !fixedLayers.has(name)),
    [...layerNames],
  );
});

const okWith = (schema: z.ZodType) => ({ description: 'Done.', schema });

/** Without these layers, routes that require credentials would be open. */
const guards = ['authenticate', 'authorise', 'recheck-authority'] as const;
const dispensable = layerNames.filter((layer) => !guards.some((guard) => guard === layer));

for (const layer of [...dispensable, dispensable.join(',')]) {
  test(`without ${layer} the application still responds, reads bodies and rejects invalid requests`, async (t) => {
    const { api } = await mustStartApp(t, { env: { APP_DISABLED_LAYERS: layer } });
    assert.equal((await fetch(`${api}/meta`)).status, 200);
    assert.equal((await fetch(`${api}/nothing`)).status, 404);
    const wrong = await fetch(`${api}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"username":1}',
    });
    assert.equal(wrong.status, 422);
    assert.equal(wrong.headers.get('content-type'), 'application/problem+json');
    assert.equal((await fetch(`${api}/users/%zz`)).status, 400);
  });
}

test('a layer without the layer that it needs stops the start', async (t) => {
  await assert.rejects(
    mustStartApp(t, {
      env: {
        APP_ENVIRONMENT: 'production',
        APP_ALLOWED_HOSTS: 'api.example.com',
        SECURITY_TRUST_PROXY_HEADERS: 'true',
        APP_DISABLED_LAYERS: 'proxy-headers',
      },
    }),
    (error) => error instanceof StartError && /https-policy needs proxy-headers/.test(error.message),
  );
});

test('in production, a plain HTTP request is redirected to HTTPS, and a probe is answered', async (t) => {
  const { api } = await mustStartApp(t, {
    env: {
      APP_ENVIRONMENT: 'production',
      APP_ALLOWED_HOSTS: '127.0.0.1',
      SECURITY_TRUST_PROXY_HEADERS: 'true',
    },
  });
  const headers = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http' };
  const plain = await fetch(`${api}/meta?x=1`, { headers, redirect: 'manual' });
  assert.equal(plain.status, 308);
  assert.equal(plain.headers.get('location'), 'https://127.0.0.1/api/v1/meta?x=1');
  assert.equal((await fetch(`${api}/health/live`, { headers })).status, 200);
  for (const credentials of [{ authorization: 'Bearer abc' }, { 'x-api-key': 'sk_abc' }]) {
    const exposed = await fetch(`${api}/meta`, {
      headers: { ...headers, ...credentials },
      redirect: 'manual',
    });
    assert.equal(exposed.status, 403);
    assert.match(await exposed.text(), /"code":"https_required".*"layer":"https-policy"/);
  }
  const secure = await fetch(`${api}/meta`, { headers: { ...headers, 'x-forwarded-proto': 'https' } });
  assert.equal(secure.status, 200);
  assert.equal(secure.headers.get('strict-transport-security'), 'max-age=31536000; includeSubDomains');
});

test('HSTS and the HTTPS policy can be switched on outside of production', async (t) => {
  const { api } = await mustStartApp(t, {
    env: {
      SECURITY_TRUST_PROXY_HEADERS: 'true',
      SECURITY_ENABLE_HSTS: 'true',
      SECURITY_ENFORCE_HTTPS: 'true',
    },
  });
  const ask = (proto: string) =>
    fetch(`${api}/meta`, { headers: { 'x-forwarded-proto': proto }, redirect: 'manual' });
  assert.equal(
    (await ask('https')).headers.get('strict-transport-security'),
    'max-age=31536000; includeSubDomains',
  );
  const plain = await ask('http');
  assert.deepEqual([plain.status, plain.headers.get('strict-transport-security')], [308, null]);
});

test('a server without a database responds with database_disabled to a request that needs one', async (t) => {
  const { api } = await mustStartApp(t);
  const response = await fetch(`${api}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      username: 'ada',
      email: 'ada@example.org',
      password: 'correct horse battery staple',
    }),
  });
  assert.equal(response.status, 503);
  const problem: unknown = await response.json();
  assert.ok(typeof problem === 'object' && problem !== null && 'code' in problem);
  assert.equal(problem.code, 'database_disabled');
});

for (const layer of guards) {
  test(`a server with a route that requires credentials does not start without ${layer}`, async (t) => {
    await assert.rejects(
      mustStartApp(t, { env: { APP_DISABLED_LAYERS: layer } }),
      (error) =>
        error instanceof StartError &&
        new RegExp(`^The layer ${layer} is needed.*from APP_DISABLED_LAYERS\\.$`).test(error.message),
    );
  });
}

describe('a schema without a JSON form stops the start with one sentence that names the route and the place', () => {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'production',
      APP_ALLOWED_HOSTS: 'api.example.com',
      APP_DATABASE_URL: 'none',
      SECURITY_JWT_SECRET: testSecret,
    },
    envFile: null,
  });
  const date = z.string().transform((text) => new Date(text));
  const cases: [place: string, path: string, facts: Partial<Route>][] = [
    ['path, field "at",', '/history/:at', { params: z.object({ at: date }) }],
    ['query, field "from",', '/history', { query: z.object({ from: date.optional() }) }],
    ['header, field "x-from",', '/history', { headers: z.object({ 'x-from': date }) }],
    ['body, field "count",', '/history', { body: z.strictObject({ count: z.bigint() }) }],
    [
      'response 200, field "[].at",',
      '/history',
      { responses: { 200: okWith(z.array(z.object({ at: date }))) } },
    ],
    ['response 202', '/history', { responses: { 202: okWith(z.map(z.string(), z.string())) } }],
  ];
  for (const [place, path, facts] of cases) {
    it(`a server in production does not start with such a schema in its ${place.replace(/,$/, '')}`, () => {
      const extraRoutes = [
        testRoute('POST', path, () => null, { authority: { cached: 'A test.' }, ...facts }),
      ];
      assert.throws(() => createApp({ ...unusedParts(settings), extraRoutes }), {
        name: 'StartError',
        message: `The schema of POST /api/v1${path}, ${place} has no JSON form: end a transformation with .pipe(), and use types that JSON has.`,
      });
    });
  }

  it('a server in production starts with a transformation that ends with .pipe()', () => {
    const query = z.object({ page: z.string().transform(Number).pipe(z.int()) });
    const extraRoutes = [testRoute('GET', '/history', () => null, { query })];
    createApp({ ...unusedParts(settings), extraRoutes });
  });
});

test('an open route that declares a scope stops the start', async (t) => {
  const unclear = testRoute('GET', '/unclear', () => null, { scopes: ['users:read'] });
  await assert.rejects(mustStartApp(t, { extraRoutes: [unclear] }), /declares roles or scopes/);
});

test('a message that the parser rejected is logged with the address of its sender', async (t) => {
  const { url, log } = await mustStartApp(t);
  await exchangeText(Number(new URL(url).port), 'NONSENSE\r\n\r\n');
  const [line] = log.of('http.client.malformed');
  assert.deepEqual([line?.client_address, line?.status], ['127.0.0.1', 400]);
});
