import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { startProgram } from '../helpers/program.ts';
import { startRedis, withoutRedis } from '../helpers/redis.ts';

const token = 'management-token-of-the-test';

describe('two nodes with Redis', { skip: withoutRedis }, () => {
  it('share their bans, keep them over a restart, and answer requests while Redis is away', async (t) => {
    const redis = await startRedis();
    t.after(redis.stop);
    const env = {
      APP_MANAGEMENT_PORT: '0',
      APP_MANAGEMENT_TOKEN: token,
      SECURITY_TRUST_PROXY_HEADERS: 'true',
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: redis.url,
      SECURITY_ENABLE_BAN_LIST: 'true',
      SECURITY_BAN_AUTH_FAILURES: '3',
    };
    const one = startProgram(t, { ...env, APP_WORKERS: '2' });
    const two = startProgram(t, env);
    const ask = async (program: typeof one, client: string, authorization?: string) =>
      fetch(`${await program.ready}/api/v1/meta`, {
        headers: {
          'X-Forwarded-For': client,
          Connection: 'close',
          ...(authorization !== undefined && { authorization }),
        },
      });
    const isBanned = async (program: typeof one, client: string) =>
      /"client_banned"/.test(await (await ask(program, client)).text());
    const guess = async (program: typeof one, client: string) => {
      for (const wrong of ['a', 'b', 'c']) await ask(program, client, `Bearer ${wrong}`);
    };

    await guess(one, '203.0.113.7');
    await eventually('the other node rejects the client', () => isBanned(two, '203.0.113.7'));

    two.process.kill('SIGTERM');
    await two.ended;
    const again = startProgram(t, env);
    assert.ok(await isBanned(again, '203.0.113.7'), 'the first request after a restart');

    await redis.kill();
    assert.equal((await ask(one, '203.0.113.9')).status, 200);
    await guess(again, '203.0.113.8');
    await eventually('the node bans alone', () => isBanned(again, '203.0.113.8'));
    await one.logged(/"event":"ban.store_failed"/);
    await redis.restart();
    await eventually('the other node has the ban too', () => isBanned(one, '203.0.113.8'));
    await eventually(
      'Redis has the old ban again',
      () => redis.command('HLEN', 'strata:bans:{bans}:entries') === '2',
    );

    const management = await again.management;
    const lift = (client: string) =>
      fetch(`${management}/bans/${client}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${token}` },
      });
    assert.equal((await lift('203.0.113.7')).status, 204);
    await eventually('the ban is lifted on both nodes', async () => !(await isBanned(one, '203.0.113.7')));
  });
});
