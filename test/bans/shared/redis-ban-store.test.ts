import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRedisBanStore } from '../../../src/bans/shared/redis-ban-store.ts';
import { openRedis, type Redis } from '../../../src/redis/redis.ts';
import { readRedisUrl } from '../../../src/redis/redis-url.ts';
import { banOf, conformsToBanStore, contentsOf } from '../../conformance/ban-store.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startRedis, type TestRedis, withoutRedis } from '../../helpers/redis.ts';

describe('the Redis ban store', { skip: withoutRedis }, () => {
  let server: TestRedis;
  let connections: readonly [Redis, Redis];
  let stores = 0;

  async function connect(): Promise<Redis> {
    const redis = await openRedis({ target: readRedisUrl(server.url), name: 'test', log: captureLog().log });
    await eventually('Redis is connected', redis.isReady);
    return redis;
  }

  before(async () => {
    server = await startRedis();
    connections = [await connect(), await connect()];
  });
  after(async () => {
    for (const each of connections) await each.close(1000);
    await server.stop();
  });

  function create() {
    stores += 1;
    const prefix = `${stores}:`;
    const [one, two] = connections;
    return [
      createRedisBanStore({ redis: one, prefix }),
      createRedisBanStore({ redis: two, prefix }),
    ] as const;
  }

  conformsToBanStore(async () => create());

  it('changes are removed when they are forgotten, and the keys are on one server of a cluster', async () => {
    const [one] = create();
    await one.write([banOf('old', { remainingMs: -10 }), banOf('new')], 0);
    await one.write([banOf('other')], 0);
    assert.deepEqual(Object.keys(await contentsOf(one)).sort(), ['new', 'other']);
    const keys = server.command('KEYS', `${stores}:*`).split('\n');
    assert.equal(keys.length, 4);
    assert.ok(keys.every((key) => key.startsWith(`${stores}:bans:{bans}:`)));
    assert.equal(server.command('ZCARD', `${stores}:bans:{bans}:expiry`), '2');
  });

  it('a store that was emptied has another epoch, and is read from its beginning', async () => {
    const [one] = create();
    await one.write([banOf('a'), banOf('b')], 1_000);
    const { cursor } = await one.read(undefined);
    server.command('FLUSHALL');
    assert.equal((await one.read(cursor)).cursor.epoch, '');
    await one.write([banOf('c')], 1_000);
    const page = await one.read(cursor);
    assert.notEqual(page.cursor.epoch, cursor.epoch);
    assert.deepEqual(
      page.changes.map(({ client }) => client),
      ['c'],
    );
  });

  it('entries that another program has written are skipped', async () => {
    const [one] = create();
    await one.write([banOf('a'), banOf('b')], 1_000);
    server.command('HSET', `${stores}:bans:{bans}:entries`, 'a', 'not json');
    assert.deepEqual(Object.keys(await contentsOf(one)), ['b']);
    server.command('HSET', `${stores}:bans:{bans}:entries`, 'b', '{"reason":"other"}');
    assert.deepEqual(await contentsOf(one), {});
  });
});
