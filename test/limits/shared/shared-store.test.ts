import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { AppError } from '../../../src/errors.ts';
import type { Limit } from '../../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../../src/limits/memory-store.ts';
import { createRedisBackend } from '../../../src/limits/shared/redis-backend.ts';
import type { SharedBackend } from '../../../src/limits/shared/shared-backend.ts';
import { createSharedLimitStore } from '../../../src/limits/shared/shared-store.ts';
import { openRedis, type Redis } from '../../../src/redis/redis.ts';
import { readRedisUrl } from '../../../src/redis/redis-url.ts';
import { conformsToLimitStore } from '../../conformance/limit-store.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startRedis, type TestRedis, withoutRedis } from '../../helpers/redis.ts';
import { makeTestCircuit } from '../../helpers/test-circuit.ts';

const limitOf = (quota: number, name = 'address'): Limit => ({
  name,
  policies: [{ name: 'only', quota, windowMs: 60_000 }],
});

/** A backend in this process. It counts its calls. */
function memoryBackend(now = () => 0): SharedBackend & { readonly calls: number } {
  const memory = createMemoryLimitStore({ maxClients: 1000, now });
  let calls = 0;
  return {
    name: 'redis',
    get calls() {
      return calls;
    },
    async decide(asks) {
      calls += 1;
      return Promise.all(asks.map(({ limits, key }) => memory.takeEach(limits, key)));
    },
  };
}

interface Options {
  readonly deadlineMs?: number;
  readonly onFailure?: 'open' | 'closed';
  readonly now?: () => number;
}

function makeStore(
  t: TestContext,
  backend: SharedBackend,
  { deadlineMs = 5_000, onFailure = 'open', now }: Options = {},
) {
  const circuit = makeTestCircuit('rate_limit');
  let fallbacks = 0;
  const store = createSharedLimitStore({
    backend,
    fallback: createMemoryLimitStore({ maxClients: 1000, now: () => 0 }),
    onFailure,
    deadlineMs,
    ...(now && { now }),
    createCircuit: circuit.create,
    onFallback: () => {
      fallbacks += 1;
    },
    onCall: () => {},
  });
  t.after(store.stop);
  return { store, changes: circuit.changes, fallbacks: () => fallbacks };
}

describe('the shared store', () => {
  conformsToLimitStore(({ clock, t }) => {
    const backend = memoryBackend(() => clock.now);
    return makeStore(t, backend, { now: () => clock.now }).store;
  });

  it('all permits that are requested in one turn of the event loop are one call to the backend', async (t) => {
    const backend = memoryBackend();
    const { store } = makeStore(t, backend);
    await Promise.all(Array.from({ length: 50 }, (_, client) => store.take(limitOf(1), `${client}`)));
    assert.equal(backend.calls, 1);
    await Promise.all(Array.from({ length: 250 }, (_, client) => store.take(limitOf(1), `${client}`)));
    assert.equal(backend.calls, 4);
  });

  it('a client that was rejected is rejected without a call until the time that the rejection states', async (t) => {
    const clock = { now: 1000 };
    const backend = memoryBackend(() => clock.now);
    const { store } = makeStore(t, backend, { now: () => clock.now });
    const limit = limitOf(1);
    const other = limitOf(9, 'user');
    await store.take(limit, 'a');
    await store.take(limit, 'a');
    clock.now += 20_000;
    const [decision] = await store.takeEach([other, limit], 'a');
    assert.deepEqual([decision?.allowed, decision?.resetMs, backend.calls], [false, 40_000, 2]);
    clock.now += 40_000;
    assert.equal((await store.take(limit, 'a')).allowed, true);
    assert.equal(backend.calls, 3);
  });

  it('a client that was rejected before the backend failed stays rejected', async (t) => {
    let isAway = false;
    const memory = memoryBackend();
    const backend: SharedBackend = {
      name: 'redis',
      decide: (asks) => (isAway ? Promise.reject(new Error('away')) : memory.decide(asks)),
    };
    const { store } = makeStore(t, backend);
    const limit = limitOf(1);
    await store.take(limit, 'rejected');
    await store.take(limit, 'rejected');
    isAway = true;
    assert.equal((await store.take(limit, 'other')).allowed, true);
    assert.equal(store.isLocal(), true);
    assert.equal((await store.take(limit, 'rejected')).allowed, false);
  });

  it('a backend that answers late decides nothing: the fallback decides within the deadline', async (t) => {
    const backend: SharedBackend = { name: 'redis', decide: () => new Promise(() => {}) };
    const { store, changes, fallbacks } = makeStore(t, backend, { deadlineMs: 20 });
    const limit = limitOf(2);
    const decisions = await Promise.all([1, 2, 3].map(() => store.take(limit, 'a')));
    assert.deepEqual(
      decisions.map(({ allowed }) => allowed),
      [true, true, false],
    );
    assert.deepEqual(changes(), ['opened: No answer within 20 ms']);
    assert.equal(store.take(limit, 'b') instanceof Promise, false);
    assert.equal(fallbacks(), 4);
  });

  it('a process that was blocked for longer than the deadline uses the answer that arrived meanwhile', async (t) => {
    const backend = memoryBackend();
    const answered: SharedBackend = {
      name: 'redis',
      decide: (asks) => new Promise((resolve) => setTimeout(() => resolve(backend.decide(asks)), 1)),
    };
    const { store, changes } = makeStore(t, answered, { deadlineMs: 30 });
    const decision = store.take(limitOf(1), 'a');
    await new Promise(setImmediate);
    const end = performance.now() + 60;
    while (performance.now() < end);
    assert.equal((await decision).allowed, true);
    assert.deepEqual(changes(), []);
  });

  it('with onFailure closed, requests get 503 while the backend fails', async (t) => {
    const backend: SharedBackend = { name: 'redis', decide: () => Promise.reject(new Error('away')) };
    const { store } = makeStore(t, backend, { onFailure: 'closed' });
    const isNotReady = (error: unknown) => error instanceof AppError && error.code === 'not_ready';
    await assert.rejects(async () => store.take(limitOf(1), 'a'), isNotReady);
    assert.throws(() => store.take(limitOf(1), 'a'), isNotReady);
  });
});

describe('the shared store with Redis', { skip: withoutRedis }, () => {
  let server: TestRedis;
  let redis: Redis;
  const { log } = captureLog();
  before(async () => {
    server = await startRedis('--maxmemory', '20mb');
    redis = await openRedis({ target: readRedisUrl(server.url), name: 'test', log });
    await eventually('the connection is ready', redis.isReady);
  });
  after(async () => {
    await redis.close(1000);
    await server.stop();
  });

  const outages: readonly {
    readonly what: string;
    readonly fail: () => void | Promise<void>;
    readonly recover: () => void | Promise<void>;
  }[] = [
    {
      what: 'that is killed and starts again empty',
      fail: () => server.kill(),
      recover: () => server.restart(),
    },
    { what: 'that is frozen and continues', fail: () => server.freeze(), recover: () => server.thaw() },
    {
      what: 'without memory for another permit',
      fail: () => void server.command('CONFIG', 'SET', 'maxmemory', '1'),
      recover: () => void server.command('CONFIG', 'SET', 'maxmemory', '20mb'),
    },
    {
      what: 'that became a read-only replica',
      fail: () => void server.command('REPLICAOF', '127.0.0.1', '1'),
      recover: () => void server.command('REPLICAOF', 'NO', 'ONE'),
    },
  ];
  for (const { what, fail, recover } of outages) {
    it(`a Redis ${what} is replaced by the fallback, and used again afterwards`, async (t) => {
      const backend = createRedisBackend({ redis, prefix: `${what}:` });
      const { store, changes } = makeStore(t, backend, { deadlineMs: 500 });
      const limit = limitOf(2);
      await eventually('Redis decides', async () => {
        await store.take(limitOf(1_000, 'start'), 'a');
        return !store.isLocal();
      });
      const before = changes().length;
      await store.take(limit, 'a');
      await fail();
      const allowed = [];
      for (let times = 0; times < 3; times += 1) allowed.push((await store.take(limit, 'a')).allowed);
      assert.deepEqual(allowed, [true, true, false]);
      assert.match(changes()[before] ?? '', /^opened: /);
      await recover();
      await eventually('Redis decides again', () => !store.isLocal());
      assert.equal(changes().at(-1), 'closed');
      assert.equal((await store.take(limit, 'b')).remaining, 1);
    });
  }
});
