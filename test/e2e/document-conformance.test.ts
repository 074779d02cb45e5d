/** Valid and faulty requests of every kind of caller to every operation of the OpenAPI document get documented answers. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { scopes } from '../../src/declarations.ts';
import type { OpenApiDocument } from '../../src/openapi/document.ts';
import { createDocumentCheck, type DocumentedOperation } from '../helpers/document-check.ts';
import { type Answer, type RequestOptions, request } from '../helpers/http-client.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import {
  mustMakeKey,
  mustServeApi,
  mustSignIn,
  mustSignInAdmin,
  type SignedIn,
  type TestApi,
  testPassword,
} from '../helpers/test-api.ts';

const json = { 'content-type': 'application/json' };

/** Changes to a good request, one for each kind of error. */
const variants: [what: string, change: (good: GoodRequest) => Partial<GoodRequest>][] = [
  ['nothing wrong', () => ({})],
  ['no credentials', () => ({ credentials: {} })],
  ['a bad access token', () => ({ credentials: { authorization: 'Bearer a.b.c' } })],
  ['an Authorization value of another scheme', () => ({ credentials: { authorization: 'Basic YTpi' } })],
  ['a bad API key', () => ({ credentials: { 'x-api-key': 'sak_x' } })],
  ['two credentials', ({ credentials }) => ({ credentials: { ...credentials, 'x-api-key': 'sak_x' } })],
  ...[
    '0',
    '7',
    '999999999',
    'abc',
    'me',
    '1e3',
    'a%00b',
    '%F0%9F%A6%89',
    'a%2Fb',
    '%zz',
    "'",
    '-',
    'a".b',
    '9'.repeat(300),
  ].map((value): [string, (good: GoodRequest) => Partial<GoodRequest>] => [
    `the parameter ${value.slice(0, 20)}`,
    ({ template }) => ({ path: template.replace(/\{\w+\}/g, value) }),
  ]),
  ...[
    'limit=0',
    'limit=1',
    'cursor=abc',
    'unknown=1',
    'limit=1&limit=2',
    'a=%00',
    '%zz',
    '=',
    'q=%F0%9F',
  ].map((query): [string, (good: GoodRequest) => Partial<GoodRequest>] => [
    `the query ${query}`,
    ({ path }) => ({ path: `${path}?${query}` }),
  ]),
  ...[
    '',
    '{}',
    '[]',
    'null',
    '"text"',
    '{"a":',
    '\u00ff',
    '{"a\\u0000b/~":1}',
    '{"a\\u0000b":{"__proto__":1}}',
    '{"username":"a\\u0000","email":"\\ud800"}',
    `{"${'n'.repeat(300)}":1}`,
    `${'['.repeat(2000)}`,
  ].map((body): [string, (good: GoodRequest) => Partial<GoodRequest>] => [
    `the body ${body.slice(0, 30)}`,
    () => ({ body, headers: json }),
  ]),
  ['another media type', () => ({ body: 'a', headers: { 'content-type': 'text/plain' } })],
  ['a malformed media type', () => ({ body: 'a', headers: { 'content-type': ';;' } })],
  ['no media type', () => ({ body: '{}', headers: {} })],
  ['a content coding', () => ({ headers: { ...json, 'content-encoding': 'br' } })],
  [
    'a form',
    () => ({
      body: 'username=a&password=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    }),
  ],
  ['a body that is too large', () => ({ body: `"${'x'.repeat(2_000_000)}"`, headers: json })],
  ...[
    { 'if-match': '"x"' },
    { 'if-match': '*' },
    { 'if-none-match': '*' },
    { 'if-none-match': '"x"' },
    { 'idempotency-key': '' },
    { 'idempotency-key': '7b0c5b2e-6f0e-4f0c-9d5c-1d1f6a1f7c55' },
    { origin: 'https://evil.example' },
    { accept: 'text/html' },
    { 'x-request-id': 'not acceptable!' },
  ].map((fields): [string, (good: GoodRequest) => Partial<GoodRequest>] => [
    `the fields ${JSON.stringify(fields)}`,
    ({ headers }) => ({ headers: { ...headers, ...fields } }),
  ]),
];

interface GoodRequest {
  readonly template: string;
  readonly path: string;
  readonly credentials: Record<string, string>;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

/** Returns a request that the caller may make, with the example of the document as its body. */
function goodRequest(
  { template, operation }: DocumentedOperation,
  id: string,
  credentials: Record<string, string>,
): GoodRequest {
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  return {
    template,
    credentials,
    path: template.replace(/\{\w+\}/g, id),
    headers: type === undefined ? {} : { 'content-type': type },
    body: media === undefined ? undefined : JSON.stringify(media.example ?? {}),
  };
}

/**
 * Returns an id for the path: that of the caller, or of a row that the caller creates from the example of the collection's
 * own operation.
 */
async function mustOwn(
  template: string,
  operations: readonly DocumentedOperation[],
  caller: SignedIn,
): Promise<string> {
  const [collection = '', parameter] = template.split('/{');
  if (collection.endsWith('/users')) return String(caller.user.id);
  const create = operations.find((each) => each.method === 'POST' && each.template === collection);
  const example = create?.operation.requestBody?.content['application/json']?.example;
  if (parameter === undefined || example === undefined) return '1';
  const { status, text, body } = await caller.post(collection, example);
  assert.equal(status, 201, text);
  return String(body.id);
}

/** Reads the document without the client of the API, which would note the paths after `tokenUrl` as secrets. */
async function mustReadDocument({ app }: TestApi) {
  const answer = await fetch(`${app.url}/openapi.json`);
  const document: OpenApiDocument = JSON.parse(await answer.text());
  return createDocumentCheck(document);
}

/** A user tries all variants. The good request comes last, since it may end the session. */
function variantsFor(kind: string): typeof variants {
  const [good, ...bad] = variants;
  const some = bad.filter(([what]) => kind === 'a user' || what.startsWith('the fields {"if-'));
  return good === undefined ? some : [...some, good];
}

async function mustServeAll(t: TestContext): Promise<TestApi> {
  return mustServeApi(t, {
    APP_ENVIRONMENT: 'local',
    APP_DATA_DIR: await mustMakeFolder(t),
    SECURITY_TRUST_PROXY_HEADERS: 'true',
    SECURITY_TRUSTED_PROXIES: '127.0.0.1',
  });
}

describe('the OpenAPI document', { concurrency: true }, () => {
  for (const kind of ['a user', 'an admin', 'an API key'] as const) {
    it(`the document describes every answer to ${kind}, for every variant of a request`, async (t) => {
      const api = await mustServeAll(t);
      const { check, operations } = await mustReadDocument(api);
      const port = Number(new URL(api.app.url).port);
      let address = 1;
      // Each address may sign in ten times a minute.
      const nextAddress = () => ({ 'x-forwarded-for': `198.51.${(address >> 8) & 255}.${address++ & 255}` });
      const seen = new Set<number>();
      const failures = new Map<string, string>();
      for (const each of operations) {
        const from = api.withHeaders(nextAddress());
        const name = `u_${address}_${each.operation.operationId}`.slice(0, 40);
        const caller =
          kind === 'an admin'
            ? await mustSignInAdmin({ ...from, app: api.app }, name)
            : await mustSignIn(from, name);
        const key = kind === 'an API key' ? await mustMakeKey(caller, scopes) : undefined;
        const credentials = key === undefined ? caller.headers : { 'x-api-key': key };
        const id = await mustOwn(each.template, operations, caller);
        const good = goodRequest(each, id, { ...credentials });
        for (const [what, change] of variantsFor(kind)) {
          if (what.startsWith('the parameter') && !each.template.includes('{')) continue;
          if (what.startsWith('a body that is') && each.operation.requestBody === undefined) continue;
          const { path, credentials: shown, headers, body } = { ...good, ...change(good) };
          const options: RequestOptions = {
            ...{ method: each.method, path },
            headers: { ...headers, ...shown, ...nextAddress() },
            ...(body !== undefined && { body }),
          };
          const answer = await request(port, options);
          seen.add(answer.status);
          try {
            check(each.operation, answer);
          } catch (error) {
            const failure = `${error}`;
            failures.set(
              failure.slice(0, 80),
              `${each.method} ${path.slice(0, 200)} with ${what}: ${failure}`,
            );
          }
        }
      }
      assert.deepEqual([...failures.values()], []);
      if (kind !== 'a user') return;
      for (const status of [200, 201, 204, 304, 400, 401, 404, 412, 413, 415, 422])
        assert.ok(seen.has(status), `no answer was ${status}`);
    });
  }

  it('the document describes the answers that set and clear the cookie of the refresh token', async (t) => {
    const api = await mustServeAll(t);
    const { check, operations } = await mustReadDocument(api);
    const port = Number(new URL(api.app.url).port);
    const { user, headers } = await mustSignIn(api, 'ada');
    const post = async (path: string, body: unknown, fields: Record<string, string>) => {
      const answer = await request(port, {
        method: 'POST',
        path,
        headers: { ...json, ...fields },
        body: JSON.stringify(body),
      });
      const found = operations.find(({ method, template }) => method === 'POST' && template === path);
      assert.ok(found, path);
      check(found.operation, answer);
      return answer;
    };
    const login = { username: user.username, password: testPassword, transport: 'cookie' };
    const cookieOf = ({ headers: fields }: Answer) => String(fields['set-cookie']?.[0]).split(';')[0] ?? '';
    const signedIn = await post('/api/v1/auth/login', login, {});
    const refreshed = await post('/api/v1/auth/refresh', {}, { cookie: cookieOf(signedIn) });
    assert.match(cookieOf(refreshed), /^__Host-refresh=srt_/);
    const bad = await post('/api/v1/auth/refresh', {}, { cookie: '__Host-refresh=srt_x' });
    assert.equal(bad.status, 401);
    const change = { current_password: testPassword, new_password: 'another good password' };
    await post('/api/v1/auth/password', change, { ...headers, cookie: cookieOf(refreshed) });
    const again = await post(
      '/api/v1/auth/login',
      { ...login, password: 'another good password' },
      { cookie: cookieOf(refreshed) },
    );
    const out = await post('/api/v1/auth/logout', {}, { cookie: cookieOf(again) });
    assert.equal(cookieOf(out), '__Host-refresh=');
  });

  it('a problem names in `instance` the path of the request as a URI reference', async (t) => {
    const port = Number(new URL((await mustServeAll(t)).app.url).port);
    for (const [path, instance] of [
      ['/a%20b?c', '/a%20b'],
      ['//evil.example/x', '/.//evil.example/x'],
      ['/a"b', '/a%22b'],
      ['/%zz', '/%25zz'],
      ['/a/../b', undefined],
    ] as const) {
      assert.equal((await request(port, { path })).json.instance, instance);
    }
  });
});
