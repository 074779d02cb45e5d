import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { describe, test } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { startProgram } from '../helpers/program.ts';
import { startRedis, withoutRedis } from '../helpers/redis.ts';

const limit = 40;

describe('the program with Redis', { skip: withoutRedis }, () => {
  test('two workers share an exact limit, a killed Redis fails no request, and is used again when it is back', async (t) => {
    const redis = await startRedis();
    t.after(redis.stop);
    const program = startProgram(t, {
      APP_WORKERS: '2',
      APP_MANAGEMENT_PORT: '0',
      SECURITY_TRUST_PROXY_HEADERS: 'true',
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: redis.url,
      SECURITY_RATE_LIMIT_PER_MINUTE: String(limit),
      SECURITY_RATE_LIMIT_BURST: '0',
      // A busy machine may answer later than the default, and the counts below are those of Redis.
      SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS: '3000',
    });
    const url = await program.ready;
    const management = Number(new URL(await program.management).port);
    const agent = new Agent({ keepAlive: false });
    const statusOf = (client: string) =>
      new Promise<number>((resolve, reject) => {
        get(`${url}/api/v1/meta`, { agent, headers: { 'x-forwarded-for': client } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        }).on('error', reject);
      });
    const burst = async (client: string) => {
      const statuses = await Promise.all(Array.from({ length: 2 * limit }, () => statusOf(client)));
      return { admitted: statuses.filter((status) => status === 200).length, statuses: new Set(statuses) };
    };
    const readiness = async () => {
      const { status, json } = await request(Number(new URL(url).port), { path: '/api/v1/health/ready' });
      return [status, json.checks.redis.status, json.checks.rate_limit_store.status].join(' ');
    };
    const metric = async (name: string) => {
      const { text } = await request(management, { path: '/metrics' });
      return [...text.matchAll(new RegExp(`^${name}(?:{.*})? (.*)$`, 'gm'))].map(([, value]) =>
        Number(value),
      );
    };
    const workersInShared = async () => (await metric('rate_limit_store_up')).filter((up) => up === 1).length;

    await eventually('both workers use Redis', async () => (await workersInShared()) === 2);
    assert.deepEqual(await burst('203.0.113.1'), { admitted: limit, statuses: new Set([200, 429]) });
    assert.equal(await readiness(), '200 ok ok');

    await redis.kill();
    // Each worker finds the failure with its first request, and the primary counts for both of them.
    assert.deepEqual(await burst('203.0.113.2'), { admitted: limit, statuses: new Set([200, 429]) });
    await eventually('no worker uses Redis', async () => {
      await burst('203.0.113.3');
      return (await workersInShared()) === 0;
    });
    assert.equal(await readiness(), '200 degraded degraded');
    const [fallbacks = 0] = await metric('rate_limit_fallback_total');
    assert.ok(fallbacks >= 2 * limit, `${fallbacks}`);

    await redis.restart();
    await eventually('both workers use Redis again', async () => (await workersInShared()) === 2);
    assert.equal(await readiness(), '200 ok ok');
    assert.deepEqual(await burst('203.0.113.4'), { admitted: limit, statuses: new Set([200, 429]) });
    const failed = program.stdout().match(/"kind":"rate_limit".*"event":"circuit.opened"/g) ?? [];
    assert.ok(failed.length <= 4, `${failed.length} times`);
  });

  test('a frozen Redis delays neither an answer nor the stop of the program', async (t) => {
    const redis = await startRedis();
    t.after(redis.stop);
    const program = startProgram(t, {
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: redis.url,
      APP_SHUTDOWN_GRACE_SECONDS: '1',
    });
    const port = Number(new URL(await program.ready).port);
    redis.freeze();
    assert.equal((await request(port, { path: '/api/v1/meta' })).status, 200);
    const { reason } = JSON.parse(await program.logged(/"kind":"rate_limit".*"event":"circuit.opened"/));
    assert.equal(reason, 'No answer within 25 ms');
    const startedAt = performance.now();
    program.process.kill('SIGTERM');
    assert.deepEqual(await program.ended, { code: 0, signal: null });
    assert.ok(performance.now() - startedAt < 5_000);
  });

  test('a wrong password stops the start with one sentence', async (t) => {
    const redis = await startRedis('--requirepass', 'hunter2');
    t.after(redis.stop);
    const program = startProgram(t, {
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: redis.url.replace('://', '://:wrong-hunter2@'),
    });
    assert.equal((await program.ended).code, 1);
    assert.match(
      program.stderr(),
      /SECURITY_REDIS_URL names redis:\/\/127\.0\.0\.1:\d+\/0, which cannot be used: .*WRONGPASS/,
    );
    assert.doesNotMatch(program.stdout() + program.stderr(), /hunter2/);
  });
});
