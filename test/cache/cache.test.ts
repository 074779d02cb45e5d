import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { createCache } from '../../src/cache/cache.ts';
import { createCacheMetrics } from '../../src/cache/cache-metrics.ts';
import type { CacheStore, Invalidation } from '../../src/cache/cache-store.ts';
import type { InvalidationBus } from '../../src/cache/invalidation-bus.ts';
import { createMemoryCacheStore } from '../../src/cache/memory-store.ts';
import { noCacheStore } from '../../src/cache/no-store.ts';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { currentRequest, runInRequest } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { metricValue } from '../helpers/metric-value.ts';

/** A bus whose members are the processes of one node. */
function createTestBus(): () => InvalidationBus {
  const members: ((invalidation: Invalidation) => void)[][] = [];
  return () => {
    const own: ((invalidation: Invalidation) => void)[] = [];
    members.push(own);
    return {
      publish: (invalidation) => {
        for (const each of members) if (each !== own) for (const listener of each) listener(invalidation);
      },
      subscribe: (listener) => void own.push(listener),
    };
  };
}

function start({ store, bus = createTestBus()() }: { store?: CacheStore; bus?: InvalidationBus } = {}) {
  const clock = { now: 0 };
  const metrics = createMetrics();
  const log = captureLog();
  const cache = createCache({
    store: store ?? createMemoryCacheStore({ maxBytes: 1_000_000, now: () => clock.now }),
    bus,
    metrics: createCacheMetrics(metrics).calls,
    log: log.log,
  });
  const calls = (result: string) => metricValue(metrics.snapshot(), 'cache_calls_total', { result }).sum;
  const loads = (outcome: string) => metricValue(metrics.snapshot(), 'cache_loads_total', { outcome }).sum;
  return { cache, clock, log, calls, loads };
}

/** A load that the test answers, one call after the other. */
function createLoads<T>() {
  const waiting: ReturnType<typeof createDeferred<T>>[] = [];
  return {
    load: (): Promise<T> => {
      const next = createDeferred<T>();
      waiting.push(next);
      return next.promise;
    },
    at: (index: number) => {
      const found = waiting[index];
      assert.ok(found !== undefined, `There was no load ${index}.`);
      return found;
    },
    count: () => waiting.length,
  };
}

const name = 'test';
const schema = z.object({ id: z.number(), at: z.coerce.date().optional() });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('a call never returns a value that was loaded before an invalidation that resolved before the call, in whatever order two processes work', async () => {
  const process = fc.nat(1);
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('call' as const), process }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('answer' as const), load: fc.nat(3) }) },
    fc.record({ kind: fc.constant('fail' as const), load: fc.nat(3) }),
    fc.record({ kind: fc.constant('expire' as const), process }),
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('key' as const), process }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('tag' as const), process }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), async (steps, isShared) => {
      const join = createTestBus();
      const clock = { now: 0 };
      const createStore = () => createMemoryCacheStore({ maxBytes: 1_000_000, now: () => clock.now });
      const common = { ...createStore(), isShared: true };
      let version = 0;
      const loads: {
        readonly version: number;
        readonly answer: ReturnType<typeof createDeferred<{ id: number }>>;
      }[] = [];
      const processes = [0, 1].map(() => {
        const { cache } = start({ store: isShared ? common : createStore(), bus: join() });
        const options = { name, ttl: 60, staleWhileRevalidate: 60, tags: () => ['posts'], schema };
        const read = cache.cached(options)(() => {
          const answer = createDeferred<{ id: number }>();
          loads.push({ version, answer });
          return answer.promise;
        });
        return { cache, read };
      });
      const calls: Promise<void>[] = [];
      for (const each of steps) {
        const { cache, read } = processes['process' in each ? each.process : 0] ?? assert.fail();
        if (each.kind === 'call') {
          const oldest = version;
          const check = ({ id }: { readonly id: number }) => assert.ok(id >= oldest, `${id} < ${oldest}`);
          calls.push(read().then(check, (error: unknown) => assert.equal((error as Error).message, 'no')));
        } else if (each.kind === 'expire') clock.now += 61_000;
        else if (each.kind === 'key' || each.kind === 'tag') {
          // The change, its commit, and then the invalidation.
          version += 1;
          await (each.kind === 'key' ? read.invalidate() : cache.invalidate('posts'));
        } else {
          const [load] = loads.splice(each.load, 1);
          if (each.kind === 'answer') load?.answer.resolve({ id: load.version });
          else load?.answer.reject(new Error('no'));
        }
        await turn();
      }
      while (loads.length > 0) {
        for (const { version: loaded, answer } of loads.splice(0)) answer.resolve({ id: loaded });
        await turn();
      }
      await Promise.all(calls);
    }),
    { numRuns: 150 },
  );
});

describe('a cached function', () => {
  it('loads once, and then returns the same frozen value', async () => {
    const { cache, calls, loads } = start();
    let count = 0;
    const read = cache.cached({ name, key: (id: number) => `${id}`, ttl: 60, schema })(async (id) => {
      count += 1;
      return { id, at: new Date(0), more: 'is not in the schema' };
    });
    const first = await read(7);
    assert.deepEqual(first, { id: 7, at: new Date(0) });
    assert.equal(await read(7), first);
    assert.equal(count, 1);
    assert.ok(Object.isFrozen(first));
    await read(8);
    assert.equal(count, 2);
    assert.deepEqual([calls('hit'), calls('miss'), loads('stored')], [1, 2, 2]);
  });

  it('concurrent calls share one load', async () => {
    const { cache, calls } = start();
    const { load, at, count } = createLoads<{ id: number }>();
    const read = cache.cached({ name, ttl: 60, schema })(load);
    const all = [read(), read(), read()];
    await turn();
    at(0).resolve({ id: 1 });
    assert.deepEqual(await Promise.all(all), [{ id: 1 }, { id: 1 }, { id: 1 }]);
    assert.deepEqual([count(), calls('joined')], [1, 2]);
  });

  it('a load that rejects rejects its callers, and the next call loads again', async () => {
    const { cache, loads } = start();
    const { load, at } = createLoads<{ id: number }>();
    const read = cache.cached({ name, ttl: 60, schema })(load);
    const both = [read(), read()];
    await turn();
    at(0).reject(new Error('no'));
    for (const each of both) await assert.rejects(each, /no/);
    const again = read();
    await turn();
    at(1).resolve({ id: 2 });
    assert.deepEqual(await again, { id: 2 });
    assert.equal(loads('failed'), 1);
  });

  it('a call after an invalidation does not join a load that began before it, whose value is not kept', async () => {
    for (const by of ['key', 'tag']) {
      const { cache } = start();
      const { load, at, count } = createLoads<{ id: number }>();
      const read = cache.cached({ name, ttl: 60, tags: () => ['posts'], schema })(load);
      const before = read();
      await turn();
      await (by === 'key' ? read.invalidate() : cache.invalidate('posts'));
      const after = read();
      await turn();
      at(1).resolve({ id: 2 });
      assert.deepEqual(await after, { id: 2 }, by);
      at(0).resolve({ id: 1 });
      assert.deepEqual(await before, { id: 1 });
      assert.deepEqual(await read(), { id: 2 });
      assert.equal(count(), 2);
    }
  });

  it('an invalidation reaches the memory and the loads of the other processes', async () => {
    const join = createTestBus();
    const [one, two] = [start({ bus: join() }), start({ bus: join() })];
    const loads = createLoads<{ id: number }>();
    const options = { name, ttl: 60, tags: () => ['posts'], schema };
    const read = two.cache.cached(options)(loads.load);
    const before = read();
    await turn();
    await one.cache.invalidate('posts');
    const after = read();
    await turn();
    loads.at(0).resolve({ id: 1 });
    loads.at(1).resolve({ id: 2 });
    await before;
    assert.deepEqual(await after, { id: 2 });
    assert.deepEqual(await read(), { id: 2 });
    await one.cache
      .cached(options)(async () => ({ id: 3 }))
      .invalidate();
    void read();
    await turn();
    assert.equal(loads.count(), 3);
    loads.at(2).resolve({ id: 3 });
  });

  it('a value expires after at most its ttl and at least nine tenths of it', async (t: TestContext) => {
    for (const [random, seconds] of [
      [0, 60],
      [0.999_999, 54],
    ] as const) {
      t.mock.method(Math, 'random', () => random);
      const { cache, clock } = start();
      let count = 0;
      const read = cache.cached({ name, ttl: 60, schema })(async () => ({ id: ++count }));
      await read();
      clock.now = seconds * 1000 - 1;
      await read();
      assert.equal(count, 1);
      clock.now = seconds * 1000 + 1;
      await read();
      assert.equal(count, 2);
    }
  });

  it('a stale value is returned at once, while one load renews it', async () => {
    const { cache, clock, calls } = start();
    const { load, at, count } = createLoads<{ id: number }>();
    const read = cache.cached({ name, ttl: 60, staleWhileRevalidate: 60, schema })(load);
    const first = read();
    await turn();
    at(0).resolve({ id: 1 });
    await first;
    clock.now = 61_000;
    assert.deepEqual(await Promise.all([read(), read()]), [{ id: 1 }, { id: 1 }]);
    assert.equal(count(), 2);
    at(1).resolve({ id: 2 });
    await turn();
    assert.deepEqual(await read(), { id: 2 });
    assert.deepEqual([count(), calls('stale')], [2, 2]);
    clock.now = 200_000;
    void read();
    await turn();
    assert.equal(count(), 3);
    at(2).resolve({ id: 3 });
  });

  it('a refresh that fails is logged, and the stale value is returned until its time is over', async () => {
    const { cache, clock, log } = start();
    let fails = false;
    const read = cache.cached({ name, ttl: 60, staleWhileRevalidate: 60, schema })(async () => {
      if (fails) throw new Error('no');
      return { id: 1 };
    });
    await read();
    clock.now = 61_000;
    fails = true;
    assert.deepEqual(await read(), { id: 1 });
    await turn();
    assert.deepEqual(
      log.of('cache.refresh_failed').map(({ cache }) => cache),
      ['test'],
    );
    assert.deepEqual(await read(), { id: 1 });
    clock.now = 130_000;
    await assert.rejects(read(), /no/);
  });

  it('undefined is cached for the negative time, and without one not at all', async () => {
    for (const [negative, loads] of [
      [undefined, 2],
      [10, 1],
    ] as const) {
      const { cache, clock } = start();
      let count = 0;
      const read = cache.cached({ name, ttl: 60, ...(negative && { negative }), schema })(async () => {
        count += 1;
        return undefined;
      });
      assert.equal(await read(), undefined);
      assert.equal(await read(), undefined);
      assert.equal(count, loads);
      clock.now = 10_001;
      await read();
      assert.equal(count, loads + 1);
    }
  });

  it('a loaded value that does not fit the schema is returned, logged and not kept', async () => {
    const { cache, log } = start();
    let count = 0;
    const read = cache.cached({ name, ttl: 60, schema: z.object({ id: z.number().max(5) }) })(async () => {
      count += 1;
      return { id: 9 };
    });
    assert.deepEqual(await read(), { id: 9 });
    await read();
    assert.deepEqual([count, log.of('cache.value_invalid').length], [2, 2]);
  });

  it('a stored text of another version or schema is a miss and is replaced', async () => {
    for (const text of ['[1,{"id":"a"}]', '[2,{"id":1}]', 'no JSON', '{}']) {
      const memory = createMemoryCacheStore({ maxBytes: 1_000_000 });
      const entry = { key: 'test', tags: [] };
      const started = await memory.startLoad(entry, { replaces: false });
      assert.ok(started.kind === 'lease');
      await started.lease.store({ text, value: text, freshMs: 60_000, staleMs: 0 });
      // Returns text, as a store outside of the process does.
      const asText = <T extends { readonly kind: string }>(found: T) =>
        'value' in found ? { kind: 'text' as const, text: String(found.value), isStale: false } : found;
      const store: CacheStore = {
        ...memory,
        read: async (each) => asText(await memory.read(each)),
        startLoad: async (each, options) => asText(await memory.startLoad(each, options)),
      };
      const { cache, calls } = start({ store });
      const read = cache.cached({ name, ttl: 60, schema })(async () => ({ id: 1 }));
      assert.deepEqual(await read(), { id: 1 }, text);
      assert.equal(calls('invalid'), 1);
    }
  });

  it('a process waits for the load of another one, and loads if that fails', async () => {
    for (const fails of [false, true]) {
      const memory = createMemoryCacheStore({ maxBytes: 1_000_000 });
      let isBusy = true;
      const store: CacheStore = {
        ...memory,
        startLoad: async (entry, options) => (isBusy ? { kind: 'busy' } : memory.startLoad(entry, options)),
      };
      const { cache, calls } = start({ store });
      let count = 0;
      const read = cache.cached({ name, ttl: 60, schema })(async () => ({ id: ++count }));
      const waiting = read();
      await turn();
      assert.equal(count, 0);
      if (!fails) {
        const lease = await memory.startLoad({ key: 'test', tags: [] }, { replaces: false });
        assert.ok(lease.kind === 'lease');
        await lease.lease.store({
          ...{ text: '', freshMs: 60_000, staleMs: 0 },
          value: { value: { id: 99 } },
        });
      }
      isBusy = false;
      assert.deepEqual(await waiting, { id: fails ? 1 : 99 });
      assert.equal(calls('awaited'), fails ? 0 : 1);
    }
  });

  it('a value of another release that is stored while a call waits is replaced', async () => {
    const memory = createMemoryCacheStore({ maxBytes: 1_000_000 });
    const store: CacheStore = {
      ...memory,
      startLoad: (entry, options) =>
        options.replaces
          ? memory.startLoad(entry, options)
          : { kind: 'text', text: '[2,{}]', isStale: false },
    };
    const { cache } = start({ store });
    const read = cache.cached({ name, ttl: 60, schema })(async () => ({ id: 1 }));
    assert.deepEqual(await read(), { id: 1 });
  });

  it('without a store, concurrent calls share one load and others load', async () => {
    const { cache, loads } = start({ store: noCacheStore });
    let count = 0;
    const read = cache.cached({ name, ttl: 60, schema })(async () => ({ id: ++count }));
    await Promise.all([read(), read()]);
    await read();
    assert.deepEqual([count, loads('unstored')], [2, 2]);
  });

  it('a load has the id of the request that started it, and is not aborted with it', async () => {
    const { cache } = start();
    const { signal } = new AbortController();
    let seen: { readonly id: string | undefined; readonly isOwn: boolean } | undefined;
    const read = cache.cached({ name, ttl: 60, schema })(async () => {
      seen = { id: currentRequest()?.id, isOwn: currentRequest()?.signal === signal };
      return { id: 1 };
    });
    await runInRequest({ id: 'abc', signal }, () => read());
    assert.deepEqual(seen, { id: 'abc', isOwn: false });
  });

  it('a load that hangs is joined for 30 s only', async (t: TestContext) => {
    const { cache } = start();
    const { load, at, count } = createLoads<{ id: number }>();
    const read = cache.cached({ name, ttl: 60, schema })(load);
    void read();
    await turn();
    void read();
    await turn();
    assert.equal(count(), 1);
    const now = performance.now();
    t.mock.method(performance, 'now', () => now + 30_001);
    const again = read();
    await turn();
    at(1).resolve({ id: 2 });
    assert.deepEqual(await again, { id: 2 });
  });

  it('long keys have the same length, and different ones stay different', async () => {
    const keys: string[] = [];
    const memory = createMemoryCacheStore({ maxBytes: 1_000_000 });
    const { cache } = start({
      store: {
        ...memory,
        read(entry) {
          keys.push(entry.key);
          return memory.read(entry);
        },
      },
    });
    const read = cache.cached({ name, key: (text: string) => text, ttl: 60, schema })(async (text) => ({
      id: text.length,
    }));
    for (const text of ['short', 'x'.repeat(201), 'x'.repeat(100_000)]) {
      assert.deepEqual(await read(text), { id: text.length });
    }
    assert.equal(keys[0], 'test:short');
    assert.equal(new Set(keys).size, 3);
    assert.ok(keys.every((key) => key.length < 60));
  });

  it('an invalidation of many and long tags reaches the other processes in messages of a bounded size', async () => {
    const join = createTestBus();
    const sent: Invalidation[] = [];
    join().subscribe((each) => sent.push(each));
    const { cache } = start({ bus: join() });
    const long = 'x'.repeat(1_000);
    let count = 0;
    const read = cache.cached({ name, ttl: 60, tags: () => [long], schema })(async () => ({ id: ++count }));
    await read();
    await cache.invalidate(...Array.from({ length: 1_500 }, (_, index) => `tag:${index}`), long);
    assert.deepEqual(await read(), { id: 2 });
    assert.deepEqual(
      sent.map(({ tags }) => tags.length),
      [1_000, 501],
    );
    assert.ok(sent.every(({ tags }) => tags.every((tag) => tag.length <= 200)));
  });

  const invalid: readonly [string, Partial<{ name: string; ttl: number; staleWhileRevalidate: number }>][] = [
    ['a ttl of 0', { ttl: 0 }],
    ['a negative time', { staleWhileRevalidate: -1 }],
    ['more than a week', { ttl: 600_000, staleWhileRevalidate: 10_000 }],
    ['a name with a space', { name: 'a b' }],
  ];
  for (const [what, options] of invalid) {
    it(`${what} is a RangeError`, () => {
      const { cache } = start();
      assert.throws(
        () => cache.cached({ name, ttl: 60, schema, ...options })(async () => ({ id: 1 })),
        RangeError,
      );
    });
  }

  it('two caches with one name are a RangeError', () => {
    const { cache } = start();
    cache.cached({ name, ttl: 60, schema })(async () => ({ id: 1 }));
    assert.throws(
      () => cache.cached({ name, ttl: 60, schema })(async () => ({ id: 1 })),
      /two caches named test/,
    );
  });

  it('an evicted value is loaded again', async () => {
    const { cache } = start({ store: createMemoryCacheStore({ maxBytes: 4_000 }) });
    let count = 0;
    const read = cache.cached({ name, key: (id: number) => `${id}`, ttl: 60, schema })(async (id) => {
      count += 1;
      return { id };
    });
    for (let id = 0; id < 20; id += 1) await read(id);
    await read(0);
    assert.equal(count, 21);
  });
});
