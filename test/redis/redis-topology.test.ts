import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createRedisBanStore } from '../../src/bans/shared/redis-ban-store.ts';
import { reasonOf } from '../../src/errors.ts';
import { createRedisBackend } from '../../src/limits/shared/redis-backend.ts';
import { openRedis, type Redis } from '../../src/redis/redis.ts';
import { readRedisUrl } from '../../src/redis/redis-url.ts';
import { banOf, contentsOf } from '../conformance/ban-store.ts';
import { direct, limitOf } from '../conformance/shared-backend.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { startRedis, withoutRedis } from '../helpers/redis.ts';

async function mustStart(t: TestContext, ...options: string[]) {
  const server = await startRedis(...options);
  t.after(server.stop);
  return server;
}

async function mustOpen(t: TestContext, url: string): Promise<Redis> {
  const redis = await openRedis({
    target: readRedisUrl(url),
    name: 'test',
    log: captureLog().log,
    pingMs: 500,
  });
  t.after(() => redis.close(500));
  return redis;
}

const clients = Array.from({ length: 30 }, (_, index) => `203.0.113.${index}`);

describe('a Redis Cluster', { skip: withoutRedis }, () => {
  it('a cluster that starts after the program counts each client on one of its servers, exactly, and keeps bans', async (t) => {
    const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '5000'];
    const servers = await Promise.all([1, 2, 3].map(() => mustStart(t, ...options)));
    const hosts = servers.map(({ port }) => `127.0.0.1:${port}`);
    const redis = await mustOpen(t, `redis+cluster://${hosts.join()}`);
    const { status, stdout } = spawnSync('redis-cli', ['--cluster', 'create', ...hosts, '--cluster-yes'], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(status, 0, stdout);
    await eventually('every server serves its slots', () =>
      servers.every((server) => server.command('CLUSTER', 'INFO').includes('cluster_state:ok')),
    );
    const store = direct(createRedisBackend({ redis, prefix: 'test:' }));
    const limits = [limitOf('address', 2), limitOf('user', 5)];
    await eventually('the cluster answers', async () => {
      try {
        return redis.isReady() && (await store.take(limitOf('probe', 1_000), 'probe')).allowed;
      } catch {
        return false;
      }
    });
    const decided = await Promise.all(
      clients.flatMap((client) => [1, 2, 3].map(() => store.takeEach(limits, client))),
    );
    const admitted = decided.filter(([first]) => first?.allowed);
    assert.equal(admitted.length, 2 * clients.length);
    for (const server of servers) assert.notEqual(server.command('DBSIZE'), '0');

    const bans = createRedisBanStore({ redis, prefix: 'test:' });
    await bans.write(
      clients.map((client) => banOf(client)),
      1_000,
    );
    assert.deepEqual(Object.keys(await contentsOf(bans)).sort(), clients.toSorted());
  });
});

describe('a cluster that cannot be used', { skip: withoutRedis }, () => {
  for (const [what, options, reason] of [
    ['with another password', ['--cluster-enabled', 'yes', '--requirepass', 'secret-hunter2'], /WRONGPASS/],
    ['that is a single server', [], /cluster support disabled/],
  ] as const) {
    it(`a cluster ${what} is known by its reason`, async (t) => {
      const server = await mustStart(t, ...options);
      const redis = await mustOpen(t, `redis+cluster://:wrong@127.0.0.1:${server.port}`);
      await eventually('there is a reason', () => reason.test(reasonOf(redis.problem())));
    });
  }
});

describe('servers that Sentinel watches', { skip: withoutRedis }, () => {
  it('after the death of the master, the replica that Sentinel promotes counts on', async (t) => {
    const master = await mustStart(t);
    const replica = await mustStart(t, '--replicaof', '127.0.0.1', `${master.port}`);
    const config = join(await mustMakeFolder(t), 'sentinel.conf');
    writeFileSync(
      config,
      [
        `sentinel monitor main 127.0.0.1 ${master.port} 1`,
        'sentinel down-after-milliseconds main 300',
        'sentinel failover-timeout main 2000',
      ].join('\n'),
    );
    await eventually('the replica is in step', () =>
      replica.command('INFO', 'replication').includes('master_link_status:up'),
    );
    const sentinel = await mustStart(t, config, '--sentinel');
    await eventually('Sentinel knows the replica', () =>
      sentinel.command('SENTINEL', 'replicas', 'main').includes(`${replica.port}`),
    );
    const redis = await mustOpen(t, `redis+sentinel://127.0.0.1:${sentinel.port}/0?master=main`);
    await eventually('the connection is ready', redis.isReady);
    const store = direct(createRedisBackend({ redis, prefix: 'test:' }));
    const limit = limitOf('address', 2);
    assert.equal((await store.take(limit, 'a')).remaining, 1);
    await eventually('the permit has been replicated', () => replica.command('DBSIZE') === '1');
    await master.kill();
    let remaining: number | undefined;
    await eventually('the replica counts', async () => {
      try {
        remaining = (await store.take(limit, 'a')).remaining;
      } catch {
        // The new master is not known yet.
      }
      return remaining !== undefined;
    });
    assert.equal(remaining, 0);
    assert.equal((await store.take(limit, 'a')).allowed, false);
  });
});
