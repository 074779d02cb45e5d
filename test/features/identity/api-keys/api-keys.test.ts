import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { callerOf } from '../../../../src/http/caller.ts';
import { ok } from '../../../../src/http/reply.ts';
import { createApiClient, pointersOf } from '../../../helpers/api-client.ts';
import { mustServeApi, mustSignIn } from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';
import { testRoute } from '../../../helpers/test-route.ts';

const keys = '/api/v1/auth/api-keys';

async function mustPrepare(t: TestContext) {
  const api = await mustServeApi(t);
  const { user, headers } = await mustSignIn(api, 'ada');
  const make = async (more: object = {}) => {
    const answer = await api.post(keys, { name: 'Import', scopes: ['tasks:write'], ...more }, headers);
    assert.equal(answer.status, 201, answer.text);
    return answer;
  };
  return { api, user, headers, make };
}

describe('making an API key', () => {
  it('creating an API key returns the key, its public data and its expiry', async (t) => {
    const { api, user, make } = await mustPrepare(t);
    const { body, headers } = await make({ scopes: ['users:read', 'tasks:write'], expires_in_days: 30 });
    const { id, key, created_at, expires_at, ...rest } = body;
    assert.match(key, /^sak_[0-9A-Za-z]{50}$/);
    assert.deepEqual(rest, {
      name: 'Import',
      prefix: key.slice(0, 8),
      scopes: ['users:read', 'tasks:write'],
      last_used_at: null,
    });
    assert.equal(Date.parse(expires_at) - Date.parse(created_at), 30 * 86_400_000);
    assert.equal(headers.get('location'), `${keys}/${id}`);
    assert.match(headers.get('cache-control') ?? '', /^no-store\b/);
    const [line] = api.app.log.of('auth.api_key.created');
    assert.deepEqual([line?.user_id, line?.key_id, line?.prefix], [user.id, id, key.slice(0, 8)]);
  });

  it('an API key is valid for 90 days unless another lifetime is requested', async (t) => {
    const { make } = await mustPrepare(t);
    const { created_at, expires_at } = (await make()).body;
    assert.equal(Date.parse(expires_at) - Date.parse(created_at), 90 * 86_400_000);
  });

  for (const [what, more, pointer] of [
    ['no scope', { scopes: [] }, '/scopes'],
    ['an unknown scope', { scopes: ['tasks:shred'] }, '/scopes/0'],
    ['a scope twice', { scopes: ['tasks:write', 'tasks:write'] }, '/scopes'],
    ['no name', { name: '' }, '/name'],
    ['a name that is too long', { name: 'x'.repeat(101) }, '/name'],
    ['a lifetime of zero days', { expires_in_days: 0 }, '/expires_in_days'],
    ['a lifetime of more than a year', { expires_in_days: 366 }, '/expires_in_days'],
    ['a lifetime of half a day', { expires_in_days: 0.5 }, '/expires_in_days'],
    ['an unknown field', { role: 'admin' }, '/role'],
  ] as const) {
    it(`creating an API key with ${what} is 422`, async (t) => {
      const { api, headers } = await mustPrepare(t);
      const answer = await api.post(keys, { name: 'Import', scopes: ['tasks:write'], ...more }, headers);
      assert.equal(answer.status, 422);
      assert.deepEqual(pointersOf(answer), [pointer]);
    });
  }

  it('the 21st valid API key is 409, even with concurrent requests', async (t) => {
    const { api, headers, make } = await mustPrepare(t);
    const body = { name: 'Import', scopes: ['tasks:write'] };
    const answers = await Promise.all(Array.from({ length: 25 }, () => api.post(keys, body, headers)));
    const count = (status: number) => answers.filter((each) => each.status === status).length;
    assert.deepEqual([count(201), count(409)], [20, 5]);

    const { items } = (await api.get(keys, headers)).body;
    assert.equal(items.length, 20);
    assert.equal((await api.delete(`${keys}/${items[3].id}`, headers)).status, 204);
    await make();
    await api.app.database.sql`
      update api_keys set created_at = now() - interval '2 days', expires_at = now() where id = ${items[4].id}`;
    await make();
    assert.equal((await api.post(keys, body, headers)).status, 409);
  });
});

describe('a session that has ended', () => {
  it('an ended session creates no API key, even in a process that has cached the session', async (t) => {
    const databaseUrl = await mustCreateDatabase(t);
    const [app, other] = [await mustStartApp(t, { databaseUrl }), await mustStartApp(t, { databaseUrl })];
    const api = createApiClient(app.url);
    const { headers } = await mustSignIn(api, 'ada');
    const elsewhere = createApiClient(other.url).withHeaders(headers);
    assert.equal((await elsewhere.get(keys)).status, 200);
    assert.equal((await api.post('/api/v1/auth/logout', undefined, headers)).status, 204);
    assert.equal((await elsewhere.get(keys)).status, 200, 'it is believed for a while');

    const answer = await elsewhere.post(keys, { name: 'Import', scopes: ['tasks:write'] });
    assert.deepEqual([answer.status, answer.body.code], [401, 'unauthenticated']);
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer .*error="invalid_token"/);
    assert.equal((await app.database.sql`select from api_keys`).length, 0);
    assert.equal((await elsewhere.get(keys)).status, 401, 'now it is known');
  });
});

describe('the list of API keys', () => {
  it('the list has the keys of the caller, newest first, without the keys themselves', async (t) => {
    const { api, headers, make } = await mustPrepare(t);
    const [first, second] = [(await make({ name: 'First' })).body, (await make({ name: 'Second' })).body];
    const other = await mustSignIn(api, 'emmy');
    const listed = await api.get(keys, headers);
    assert.equal(listed.status, 200);
    const { key: _, ...secondShown } = second;
    const { key: __, ...firstShown } = first;
    assert.deepEqual(listed.body, { items: [secondShown, firstShown] });
    for (const { key } of [first, second]) assert.ok(!listed.text.includes(key.slice(8)));
    assert.deepEqual((await api.get(keys, other.headers)).body, { items: [] });
  });
});

describe('revoking an API key', () => {
  it('a revoked key is rejected immediately by the process that revoked it, and the revocation is logged', async (t) => {
    const { api, user, headers, make } = await mustPrepare(t);
    const { id, key } = (await make({ scopes: ['users:read'] })).body;
    const shown = { 'x-api-key': key };
    assert.equal((await api.get('/api/v1/users/me', shown)).status, 200);
    assert.equal((await api.delete(`${keys}/${id}`, headers)).status, 204);
    assert.equal((await api.get('/api/v1/users/me', shown)).status, 401);
    assert.deepEqual((await api.get(keys, headers)).body, { items: [] });
    const [line] = api.app.log.of('auth.api_key.revoked');
    assert.deepEqual([line?.user_id, line?.key_id], [user.id, id]);
  });

  it('revoking a deleted key or a key of another user is 404', async (t) => {
    const { api, headers, make } = await mustPrepare(t);
    const { id } = (await make()).body;
    const other = await mustSignIn(api, 'emmy');
    assert.equal((await api.delete(`${keys}/${id}`, other.headers)).status, 404);
    assert.equal((await api.delete(`${keys}/${id}`, headers)).status, 204);
    assert.equal((await api.delete(`${keys}/${id}`, headers)).status, 404);
  });
});

describe('a program with an API key', () => {
  it('a program with a key writes for its user only what its scopes allow', async (t) => {
    const { api, user, make } = await mustPrepare(t);
    const shown = { 'x-api-key': (await make({ scopes: ['tasks:write'] })).body.key };
    const asked = await api.post(`/api/v1/users/${user.id}/welcome`, undefined, shown);
    assert.equal(asked.status, 202, asked.text);
    const jobs = await api.app.database.sql`select user_id from jobs where id = ${asked.body.task_id}`;
    assert.deepEqual([...jobs], [{ user_id: user.id }]);
    const me = await api.get('/api/v1/users/me', shown);
    assert.equal(me.status, 403);
    assert.match(me.body.detail, /users:read/);
  });

  it('a program with only users:write changes the account and sees it in the response', async (t) => {
    const { api, user, make } = await mustPrepare(t);
    const shown = { 'x-api-key': (await make({ scopes: ['users:write'] })).body.key };
    const answer = await api.patch(`/api/v1/users/${user.id}`, { username: 'countess' }, shown);
    assert.deepEqual([answer.status, answer.body.username, answer.body.email], [200, 'countess', user.email]);
    assert.equal((await api.get('/api/v1/users/me', shown)).status, 403);
  });

  it('a program with a key cannot manage API keys', async (t) => {
    const { api, make } = await mustPrepare(t);
    const { id, key } = (await make({ scopes: ['users:read', 'users:write', 'tasks:write'] })).body;
    const shown = { 'x-api-key': key };
    const body = { name: 'Another', scopes: ['tasks:write'] };
    assert.equal((await api.post(keys, body, shown)).status, 403);
    assert.equal((await api.get(keys, shown)).status, 403);
    assert.equal((await api.delete(`${keys}/${id}`, shown)).status, 403);
  });

  it('a program with a key does not become an admin with its user', async (t) => {
    const { api, user, headers, make } = await mustPrepare(t);
    await api.app.database.sql`update users set role = 'admin' where id = ${user.id}`;
    const shown = { 'x-api-key': (await make({ scopes: ['users:read'] })).body.key };
    assert.equal((await api.get('/api/v1/users', shown)).status, 403);
    assert.equal((await api.get('/api/v1/users/me', shown)).status, 200);
    assert.equal((await api.get(keys, headers)).status, 200);
  });

  it('a key sent as a bearer token and a mistyped key are rejected', async (t) => {
    const { api, make } = await mustPrepare(t);
    const { key } = (await make()).body;
    assert.equal((await api.get('/api/v1/users/me', { authorization: `Bearer ${key}` })).status, 401);
    assert.equal((await api.get('/api/v1/users/me', { 'x-api-key': `${key.slice(0, -1)}!` })).status, 401);
  });

  it('the keys of a deleted user are rejected', async (t) => {
    const { api, user, make } = await mustPrepare(t);
    await make();
    await api.app.database.sql`delete from users where id = ${user.id}`;
    const rows = await api.app.database.sql`select from api_keys`;
    assert.equal(rows.length, 0);
  });
});

it('a route for programs accepts an API key in the configured header, and no access token', async (t) => {
  const route = testRoute('GET', '/api-protected', ({ ctx }) => ok({ user: callerOf(ctx).username }), {
    auth: 'apiKey',
    responses: { 200: { description: 'The caller.', schema: z.object({ user: z.string() }) } },
  });
  const app = await mustStartApp(t, {
    databaseUrl: await mustCreateDatabase(t),
    env: { SECURITY_API_KEY_HEADER: 'X-Program', APP_CORS_ALLOW_ORIGINS: 'https://app.example.com' },
    extraRoutes: [route],
  });
  const api = { ...createApiClient(app.url), app };
  const { headers } = await mustSignIn(api, 'ada');
  const { key } = (await api.post(keys, { name: 'Import', scopes: ['tasks:write'] }, headers)).body;

  const path = '/api/v1/api-protected';
  assert.deepEqual((await api.get(path, { 'x-program': key })).body, { user: 'ada' });
  assert.equal((await api.get(path, headers)).status, 403);
  assert.equal((await api.get(path, { 'x-api-key': key })).status, 401);

  const preflight = await fetch(app.url + path, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' },
  });
  assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /\bX-Program\b/);
});
