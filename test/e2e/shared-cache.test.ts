import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createApiClient } from '../helpers/api-client.ts';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { startProgram } from '../helpers/program.ts';
import { startRedis, type TestRedis, withoutRedis } from '../helpers/redis.ts';
import { mustLogIn, mustSignIn } from '../helpers/test-api.ts';
import { mustStartApp, type TestApp } from '../helpers/test-app.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const posts = '/api/v1/posts';
const me = '/api/v1/users/me';
const circuitsOf = ({ log }: TestApp, event: string) => log.of(event).map(({ kind }) => kind);

/** Long enough that only a message can end the cached credential in time. */
const longRecheck = { SECURITY_SESSION_RECHECK_SECONDS: '300' };

describe('two nodes with one Redis', { skip: withoutRedis }, () => {
  const closing: (() => unknown)[] = [];
  const t = { after: (close: () => unknown) => void closing.push(close) };
  let redis: TestRedis;
  let apps: readonly [TestApp, TestApp];
  before(async () => {
    redis = await startRedis();
    closing.push(redis.stop);
    const databaseUrl = await mustCreateDatabase(t);
    const env = {
      ...longRecheck,
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: redis.url,
      SECURITY_RATE_LIMIT_STORE: 'memory',
      // Long, so that a busy machine does not look like a Redis that is away.
      APP_CACHE_TIMEOUT_MS: '1000',
    };
    const start = () => mustStartApp(t, { databaseUrl, env });
    apps = [await start(), await start()];
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });
  const clients = () => [createApiClient(apps[0].url), createApiClient(apps[1].url)] as const;
  const checkOf = async ({ api }: TestApp) => {
    const answer = await fetch(`${api}/health/ready`);
    const body = (await answer.json()) as { checks: { cache: { status: string } } };
    return [answer.status, body.checks.cache.status];
  };

  it('a change on one node is seen on the other one at once, whose page was loaded by the first', async () => {
    const [one, two] = clients();
    const ada = await mustSignIn(one, 'ada');
    const { body: post } = await ada.post(posts, { title: 'First', body: 'A text.' });
    const { body: first } = await one.get(posts);
    await apps[0].database.sql`update posts set title = 'Behind the cache' where id = ${post.id}`;
    assert.deepEqual((await two.get(posts)).body, first);
    await ada.patch(`${posts}/${post.id}`, { title: 'Second' });
    for (const each of [one, two]) assert.equal((await each.get(posts)).body.items[0].title, 'Second');
  });

  it('a session that is ended on one node is rejected by the other one within moments', async () => {
    const [one, two] = clients();
    const bob = await mustSignIn(one, 'bob');
    const elsewhere = two.withHeaders(bob.headers);
    assert.equal((await elsewhere.get(me)).status, 200);
    assert.equal((await bob.post('/api/v1/auth/logout-all', undefined)).status, 204);
    await eventually(
      'the other node rejects the token',
      async () => (await elsewhere.get(me)).status === 401,
    );
  });

  it('while Redis answers nothing, requests are answered without it and readiness is degraded', async () => {
    const [one] = clients();
    assert.deepEqual(await checkOf(apps[0]), [200, 'ok']);
    redis.freeze();
    try {
      const { status, body } = await one.get(posts);
      assert.deepEqual([status, Array.isArray(body.items)], [200, true]);
      assert.deepEqual(await checkOf(apps[0]), [200, 'degraded']);
      assert.deepEqual(circuitsOf(apps[0], 'circuit.opened'), ['cache']);
    } finally {
      redis.thaw();
    }
    await eventually('the cache is used again', async () => (await checkOf(apps[0]))[1] === 'ok');
    assert.deepEqual(circuitsOf(apps[0], 'circuit.closed'), ['cache']);
  });
});

it('a session that is ended in one worker is rejected by the others within moments, without Redis', async (t) => {
  const env = { ...longRecheck, APP_WORKERS: '3', APP_DATABASE_URL: await mustCreateDatabase(t) };
  const url = await startProgram(t, env).ready;
  const api = createApiClient(url);
  const ada = await mustSignIn(api, 'ada');
  const other = await mustLogIn(api, ada.user);
  /** Each request has a new connection, which the primary gives to the next worker. */
  const statuses = () =>
    Promise.all(
      Array.from({ length: 6 }, async () => {
        const sent = { path: me, headers: ada.headers };
        return (await request(Number(new URL(url).port), sent)).status;
      }),
    );
  assert.deepEqual(new Set(await statuses()), new Set([200]));
  assert.equal((await other.post('/api/v1/auth/logout-all', undefined)).status, 204);
  await eventually('every worker rejects the token', async () =>
    (await statuses()).every((status) => status === 401),
  );
});
