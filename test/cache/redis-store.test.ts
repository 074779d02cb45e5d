import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as z from 'zod';
import { createCache } from '../../src/cache/cache.ts';
import { createCacheMetrics } from '../../src/cache/cache-metrics.ts';
import type { CacheStore } from '../../src/cache/cache-store.ts';
import { noBus } from '../../src/cache/invalidation-bus.ts';
import { createRedisCacheStore } from '../../src/cache/redis-store.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { openRedis, type Redis } from '../../src/redis/redis.ts';
import { readRedisUrl } from '../../src/redis/redis-url.ts';
import { conformsToCacheStore, payloadOf, readText, startLoad } from '../conformance/cache-store.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { startRedis, type TestRedis, withoutRedis } from '../helpers/redis.ts';

describe('the cache in Redis', { skip: withoutRedis }, () => {
  let server: TestRedis;
  let redis: Redis;
  let stores = 0;
  before(async () => {
    server = await startRedis();
    redis = await openRedis({ target: readRedisUrl(server.url), name: 'test', log: captureLog().log });
    await eventually('the connection is ready', redis.isReady);
  });
  after(async () => {
    await redis.close(1000);
    await server.stop();
  });

  /** The store of one of several processes with the same values. */
  const open = (prefix: string, through = redis) => createRedisCacheStore({ redis: through, prefix });
  const emptyPrefix = () => {
    stores += 1;
    return `${stores}:`;
  };
  const entry = { key: 'user:1', tags: ['users', 'roles'] };

  describe('one server', () => conformsToCacheStore(() => open(emptyPrefix())));

  // The commands are those of a cluster: each uses the keys of one hash tag.
  describe('the commands of a cluster', () =>
    conformsToCacheStore(() => open(emptyPrefix(), { ...redis, isCluster: true })));

  it('a load that another process runs is busy, and its value is found when it is stored', async () => {
    const prefix = emptyPrefix();
    const [one, two] = [open(prefix), open(prefix)];
    const lease = await startLoad(one, entry);
    assert.equal((await two.startLoad(entry, { replaces: false })).kind, 'busy');
    await lease.store(payloadOf('ada'));
    const start = await two.startLoad(entry, { replaces: false });
    assert.ok(start.kind === 'text');
    assert.equal(start.text, 'ada');
  });

  it('the lease of a process that died expires after some seconds, and one that loads keeps it', async () => {
    const prefix = emptyPrefix();
    const lease = await startLoad(open(prefix), entry);
    const key = `${prefix}cache:{user:1}:load`;
    const left = () => Number(server.command('PTTL', key));
    assert.ok(left() > 0 && left() <= 2_000);
    server.command('PEXPIRE', key, '1800');
    await eventually('the lease is renewed', () => left() > 1_800);
    await lease.release();
    assert.equal(server.command('EXISTS', key), '0');
  });

  for (const [lost, keys] of [
    ['the version of a tag', (prefix: string) => [`${prefix}cache-tag:{roles}`]],
    ['the value', (prefix: string) => [`${prefix}cache:{user:1}`]],
  ] as const) {
    it(`if ${lost} was evicted, the value is a miss`, async () => {
      const prefix = emptyPrefix();
      const store = open(prefix);
      await (await startLoad(store, entry)).store(payloadOf('ada'));
      assert.equal(await readText(store, entry), 'ada');
      server.command('DEL', ...keys(prefix));
      assert.equal((await store.read(entry)).kind, 'miss');
    });
  }

  it('a value in the form of another release is a miss', async () => {
    const prefix = emptyPrefix();
    const store = open(prefix);
    server.command('SET', `${prefix}cache:{plain}`, '2 0 \nada', 'PX', '60000');
    assert.equal((await store.read({ key: 'plain', tags: [] })).kind, 'miss');
  });

  it('every key expires', async () => {
    const prefix = emptyPrefix();
    await (await startLoad(open(prefix), entry)).store(payloadOf('ada', 1_000, 2_000));
    await startLoad(open(prefix), { key: 'user:2', tags: ['users'] });
    const keys = server.command('KEYS', `${prefix}*`).split('\n');
    assert.equal(keys.length, 4);
    for (const key of keys) assert.ok(Number(server.command('PTTL', key)) > 0, key);
  });

  it('a hit is one command, and so is a miss', async () => {
    const sent: string[] = [];
    const counting: Redis = {
      ...redis,
      send: (key, command) => {
        sent.push(command[0] ?? '');
        return redis.send(key, command);
      },
      run: (script, keys, parameters) => {
        sent.push('EVALSHA');
        return redis.run(script, keys, parameters);
      },
    };
    const prefix = emptyPrefix();
    const store: CacheStore = open(prefix, counting);
    await store.read(entry);
    assert.deepEqual(sent.splice(0), ['EVALSHA']);
    await (await startLoad(store, entry)).store(payloadOf('ada'));
    sent.length = 0;
    assert.equal(await readText(store, entry), 'ada');
    assert.deepEqual(sent, ['EVALSHA']);
  });
});

describe('two processes that share values in Redis, while no message of an invalidation arrives', {
  skip: withoutRedis,
}, () => {
  it('a call after an invalidation does not join a load of its process that began before it', async (t) => {
    const server = await startRedis();
    t.after(server.stop);
    const mustOpen = async () => {
      const redis = await openRedis({
        target: readRedisUrl(server.url),
        name: 'test',
        log: captureLog().log,
      });
      t.after(() => redis.close(1000));
      await eventually('the connection is ready', redis.isReady);
      const store = createRedisCacheStore({ redis, prefix: '' });
      return createCache({
        ...{ store, bus: noBus, log: captureLog().log },
        metrics: createCacheMetrics(createMetrics()).calls,
      });
    };
    const [one, two] = [await mustOpen(), await mustOpen()];
    for (const by of ['tag', 'key']) {
      const loads: ((value: number) => void)[] = [];
      const options = { name: `value.${by}`, ttl: 60, tags: () => ['all'], schema: z.number() };
      const load = () => new Promise<number>((resolve) => loads.push(resolve));
      const read = two.cached(options)(load);
      const elsewhere = one.cached(options)(load);
      const [before, joined] = [read(), read()];
      await eventually('the load has started', () => loads.length === 1);
      await (by === 'tag' ? one.invalidate('all') : elsewhere.invalidate());
      const later = [read(), read()];
      await eventually('the next load has started', () => loads.length === 2);
      loads[0]?.(1);
      loads[1]?.(2);
      assert.deepEqual(await Promise.all([before, joined]), [1, 1], by);
      assert.deepEqual(await Promise.all(later), [2, 2], by);
      assert.equal(await read(), 2);
      assert.equal(loads.length, 2);
    }
  });
});
