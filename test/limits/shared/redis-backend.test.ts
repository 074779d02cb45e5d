import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createRedisBackend } from '../../../src/limits/shared/redis-backend.ts';
import { openRedis, type Redis } from '../../../src/redis/redis.ts';
import { readRedisUrl } from '../../../src/redis/redis-url.ts';
import { conformsToLimitStore } from '../../conformance/limit-store.ts';
import { conformsToSharedBackend, direct, limitOf } from '../../conformance/shared-backend.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startRedis, type TestRedis, withoutRedis } from '../../helpers/redis.ts';

describe('the Redis backend', { skip: withoutRedis }, () => {
  let server: TestRedis;
  let redis: Redis;
  const closing: Redis[] = [];
  let stores = 0;
  before(async () => {
    server = await startRedis();
    redis = await connect(server);
  });
  after(async () => {
    for (const each of [redis, ...closing]) await each.close(1000);
    await server.stop();
  });

  const empty = () => {
    stores += 1;
    return { redis, prefix: `${stores}:` };
  };

  conformsToLimitStore(({ clock }) => direct(createRedisBackend({ ...empty(), now: () => clock.now })));

  conformsToSharedBackend(async () => {
    const { prefix } = empty();
    const others = await Promise.all([connect(server), connect(server)]);
    closing.push(...others);
    return others.map((each) => createRedisBackend({ redis: each, prefix }));
  });

  it('a key expires when its newest permit leaves the longest window, and a rejection writes nothing', async () => {
    const { prefix } = empty();
    const store = direct(createRedisBackend({ redis, prefix }));
    const limit = {
      name: 'address',
      policies: [
        { name: 'short', quota: 1, windowMs: 1_000 },
        { name: 'long', quota: 9, windowMs: 90_000 },
      ],
    };
    await store.take(limit, '203.0.113.7');
    const key = `${prefix}limit:{203.0.113.7}:address:1/1000|9/90000`;
    assert.equal(server.command('ZCARD', key), '1');
    const expiry = Number(server.command('PTTL', key));
    assert.ok(expiry > 80_000 && expiry <= 90_000, `${expiry}`);
    assert.equal((await store.take(limit, '203.0.113.7')).allowed, false);
    assert.equal(server.command('ZCARD', key), '1');
  });

  it('the clock of Redis decides, whatever the clock of this machine is', async (t: TestContext) => {
    const store = direct(createRedisBackend(empty()));
    t.mock.timers.enable({ apis: ['Date'], now: 0 });
    const { allowed, resetMs } = await store.take(limitOf('address', 1, 10_000), 'a');
    assert.deepEqual([allowed, resetMs], [true, 10_000]);
  });

  for (const key of ['', '}', '{', '%7D', 'a}b', 'user:1']) {
    it(`the hash tag of the client ${JSON.stringify(key)} is neither empty nor shared with another client`, async () => {
      const { prefix } = empty();
      const store = direct(createRedisBackend({ redis, prefix }));
      await store.take(limitOf('address', 1), key);
      const [stored = ''] = server.command('KEYS', `${prefix}*`).split('\n');
      const tag = /\{(.*?)\}/.exec(stored)?.[1];
      assert.ok(tag !== undefined && tag !== '');
      assert.equal(tag.startsWith('%:') ? decodeURIComponent(tag.slice(2)) : tag, key);
    });
  }

  it('a server that lost its scripts is sent the script again', async () => {
    const store = direct(createRedisBackend(empty()));
    server.command('SCRIPT', 'FLUSH');
    assert.equal((await store.take(limitOf('address', 1), 'a')).allowed, true);
  });
});

async function connect({ url }: TestRedis): Promise<Redis> {
  const redis = await openRedis({ target: readRedisUrl(url), name: 'test', log: captureLog().log });
  await eventually('the connection is ready', redis.isReady);
  return redis;
}
