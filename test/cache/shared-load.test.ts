import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { createCache } from '../../src/cache/cache.ts';
import { createCacheMetrics } from '../../src/cache/cache-metrics.ts';
import type { Invalidation } from '../../src/cache/cache-store.ts';
import { createMemoryCacheStore } from '../../src/cache/memory-store.ts';
import { createPrimaryLoads, type WorkerLoads } from '../../src/cache/primary-loads.ts';
import { type LoadReceiver, maxLoadMs, maxSentLength } from '../../src/cache/shared-load.ts';
import { createWorkerCacheStore } from '../../src/cache/worker-store.ts';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { conformsToCacheStore } from '../conformance/cache-store.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { propertyRuns } from '../helpers/property-runs.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const deadlineMs = 25;
const name = 'test';
const entryTag = 'posts';
const schema = z.object({ id: z.number(), text: z.string().optional() });

interface Loaded {
  readonly id: number;
  readonly text?: string | undefined;
}

interface Running {
  readonly worker: number;
  /** The version of the source when the load began. */
  readonly version: number;
  readonly answer: ReturnType<typeof createDeferred<Loaded>>;
}

interface TestWorker {
  readonly index: number;
  /** Messages to the primary, from it, and from Redis, which are not delivered yet. */
  readonly up: (() => void)[];
  readonly down: (() => void)[];
  readonly elsewhere: (() => void)[];
  isAlive: boolean;
  readonly died: Promise<void>;
  read(): Promise<Loaded>;
  /** The number of messages that it has sent. */
  sent(): number;
  unanswered(): number;
  /** The newest version whose invalidation this worker has applied. */
  known(): number;
  count(result: string): number;
  apply(invalidation: Invalidation, published: number): void;
  /** Applies an invalidation of another node, received from Redis. */
  applyElsewhere(invalidation: Invalidation, published: number): void;
  invalidate(by: 'key' | 'tag'): Promise<void>;
  /** Ends its process. The primary notices when it has received the last messages. */
  die(): void;
}

/**
 * A node: a primary, and workers with a cached function each. Messages wait in queues until the test delivers them. The source
 * has a version, which a load copies when it begins.
 */
function createNode(t: TestContext) {
  const clock = { now: 0 };
  const primary = createPrimaryLoads({ now: () => clock.now });
  const running: Running[] = [];
  const source = { version: 0 };
  /** The granted questions that exclude others, as the messages of the primary show them, with the time of their grant. */
  const granted = new Map<string, number>();
  const workers: TestWorker[] = [];

  function invalidateInPrimary(invalidation: Invalidation): void {
    granted.clear();
    primary.invalidate(invalidation);
  }

  function addWorker(version = 1): TestWorker {
    const index = workers.length;
    const up: (() => void)[] = [];
    const down: (() => void)[] = [];
    const elsewhere: (() => void)[] = [];
    const metrics = createMetrics();
    const cacheMetrics = createCacheMetrics(metrics);
    const memory = createMemoryCacheStore({ maxBytes: 4_000_000, now: () => clock.now });
    const listeners: ((invalidation: Invalidation) => void)[] = [];
    const died = createDeferred<void>();
    let receiver: LoadReceiver | undefined;
    let sent = 0;
    let unanswered = 0;
    let known = 0;
    const session: WorkerLoads = primary.connect({
      enter(id, state) {
        if (state === 'granted') {
          const others = [...granted.values()].filter((at) => clock.now - at <= maxLoadMs);
          assert.deepEqual(others, [], 'Two loads are granted at the same time.');
          granted.clear();
          granted.set(`${index}:${id}`, clock.now);
        }
        down.push(() => receiver?.enter(id, state));
      },
      receive: (id, value) => void down.push(() => receiver?.receive(id, value)),
    });
    const store = createWorkerCacheStore({
      memory,
      channel: {
        ask(question) {
          sent += 1;
          up.push(() => session.ask(question));
        },
        finish(id, value) {
          sent += 1;
          up.push(() => {
            granted.delete(`${index}:${id}`);
            session.finish(id, value);
          });
        },
        revoke: (invalidation) => void up.push(() => invalidateInPrimary(invalidation)),
        listen(given) {
          receiver = given;
        },
      },
      now: () => clock.now,
      deadlineMs,
      onUnanswered: () => {
        unanswered += 1;
      },
    });
    const cache = createCache({
      store,
      bus: {
        publish(invalidation) {
          const { version: published } = source;
          up.push(() => {
            for (const other of workers) {
              if (other.index !== index) other.down.push(() => other.apply(invalidation, published));
            }
            invalidateInPrimary(invalidation);
          });
        },
        subscribe: (listener) => void listeners.push(listener),
      },
      metrics: cacheMetrics.calls,
      log: captureLog().log,
    });
    const read = cache.cached({
      ...{ name, ttl: 60, staleWhileRevalidate: 60, tags: () => [entryTag], schema, version },
    })(() => {
      const answer = createDeferred<Loaded>();
      running.push({ worker: index, version: source.version, answer });
      return answer.promise;
    });
    const worker: TestWorker = {
      index,
      up,
      down,
      elsewhere,
      read,
      isAlive: true,
      died: died.promise,
      sent: () => sent,
      unanswered: () => unanswered,
      known: () => known,
      count: (result: string) => metricValue(metrics.snapshot(), 'cache_calls_total', { result }).sum,
      apply(invalidation: Invalidation, published: number) {
        known = Math.max(known, published);
        for (const listener of listeners) listener(invalidation);
      },
      applyElsewhere(invalidation: Invalidation, published: number) {
        up.push(() => invalidateInPrimary(invalidation));
        worker.apply(invalidation, published);
      },
      async invalidate(by: 'key' | 'tag') {
        await (by === 'key' ? read.invalidate() : cache.invalidate(entryTag));
        known = Math.max(known, source.version);
      },
      die() {
        worker.isAlive = false;
        died.resolve();
        for (const deliver of up.splice(0)) deliver();
        for (const question of granted.keys()) if (question.startsWith(`${index}:`)) granted.delete(question);
        session.close();
        for (const load of running.filter((each) => each.worker === index)) {
          running.splice(running.indexOf(load), 1);
        }
      },
    };
    workers.push(worker);
    return worker;
  }

  return {
    clock,
    primary,
    running,
    source,
    workers,
    addWorker,
    /** Delivers all messages, also those that follow from them. */
    async settle() {
      for (;;) {
        await turn();
        const queues = workers.filter(({ isAlive }) => isAlive).flatMap(({ up, down }) => [up, down]);
        const messages = queues.flatMap((queue) => queue.splice(0));
        if (messages.length === 0) return;
        for (const deliver of messages) deliver();
      }
    },
    /** Answers the oldest load that runs. */
    answer(value: Partial<Loaded> = {}) {
      const load = running.shift();
      assert.ok(load !== undefined, 'No load runs.');
      load.answer.resolve({ id: load.version, ...value });
      return load;
    },
    async pass(ms: number) {
      clock.now += ms;
      t.mock.timers.tick(ms);
      await turn();
    },
  };
}

function start(t: TestContext, count = 2) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => t.mock.timers.reset());
  const node = createNode(t);
  return { ...node, all: Array.from({ length: count }, () => node.addWorker()) };
}

describe('the store of a worker that is alone', () => {
  conformsToCacheStore(() => {
    const primary = createPrimaryLoads();
    let session: WorkerLoads | undefined;
    const store = createWorkerCacheStore({
      memory: createMemoryCacheStore({ maxBytes: 4_000_000 }),
      channel: {
        ask: (question) => session?.ask(question),
        finish: (id, value) => session?.finish(id, value),
        revoke: primary.invalidate,
        listen(receiver) {
          session = primary.connect(receiver);
        },
      },
      now: () => performance.now(),
      deadlineMs: 1_000,
      onUnanswered: () => assert.fail('The primary did not answer.'),
    });
    return {
      ...store,
      /** A load waits for another one of the same value; here it is busy instead, and released when its turn comes. */
      async startLoad(entry, options) {
        const started = Promise.resolve(store.startLoad(entry, options));
        const start = await Promise.race([started, turn().then(() => ({ kind: 'busy' }) as const)]);
        if (start.kind === 'busy') void started.then((late) => late.kind === 'lease' && late.lease.release());
        return start;
      },
      invalidate(invalidation) {
        void store.invalidate(invalidation);
        primary.invalidate(invalidation);
      },
    };
  });
});

it('in whatever order messages arrive, workers die and time passes, one load at a time is granted, no call gets a value from before an invalidation, and every call is answered', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const worker = fc.nat(2);
  const by = fc.constantFrom('key' as const, 'tag' as const);
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.record({ kind: fc.constant('call' as const), worker }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('deliver' as const),
        worker,
        queue: fc.constantFrom('up' as const, 'down' as const),
      }),
    },
    { weight: 8, arbitrary: fc.constant({ kind: 'settle' as const }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('answer' as const), load: fc.nat(3) }) },
    fc.record({ kind: fc.constant('fail' as const), load: fc.nat(3) }),
    fc.record({ kind: fc.constant('answer-large' as const), load: fc.nat(3) }),
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('invalidate' as const), worker, by }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('invalidate-elsewhere' as const), by }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('deliver-elsewhere' as const), worker }) },
    fc.record({ kind: fc.constant('die' as const), worker }),
    fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(deadlineMs, 1_000, maxLoadMs + 1, 61_000),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 80 }), async (steps) => {
      const node = createNode(t);
      const { running, source, workers } = node;
      // Two releases: the values of the third worker have another version.
      const slots = [node.addWorker(1), node.addWorker(1), node.addWorker(2)];
      const calls: Promise<void>[] = [];
      const at = (slot: number) => slots[slot] ?? assert.fail();
      const take = (load: number) => running.splice(load, 1)[0];
      for (const each of steps) {
        if (each.kind === 'call') {
          const caller = at(each.worker);
          const oldest = caller.known();
          const check = ({ id }: Loaded) => assert.ok(id >= oldest, `${id} < ${oldest}`);
          const call = caller
            .read()
            .then(check, (error: unknown) => assert.equal((error as Error).message, 'no'));
          // The calls of a worker that dies are never answered.
          calls.push(Promise.race([call, caller.died]));
        } else if (each.kind === 'deliver') at(each.worker)[each.queue].shift()?.();
        else if (each.kind === 'settle') await node.settle();
        else if (each.kind === 'answer' || each.kind === 'answer-large') {
          const load = take(each.load);
          const text = each.kind === 'answer-large' ? { text: 'x'.repeat(maxSentLength) } : {};
          load?.answer.resolve({ id: load.version, ...text });
        } else if (each.kind === 'fail') take(each.load)?.answer.reject(new Error('no'));
        else if (each.kind === 'invalidate') {
          // The change, its commit, and then the invalidation.
          source.version += 1;
          await at(each.worker).invalidate(each.by);
        } else if (each.kind === 'invalidate-elsewhere') {
          source.version += 1;
          const { version } = source;
          const invalidation =
            each.by === 'key' ? { keys: [name], tags: [] } : { keys: [], tags: [entryTag] };
          for (const one of slots) one.elsewhere.push(() => one.applyElsewhere(invalidation, version));
        } else if (each.kind === 'deliver-elsewhere') at(each.worker).elsewhere.shift()?.();
        else if (each.kind === 'die') {
          at(each.worker).die();
          slots[each.worker] = node.addWorker(each.worker === 2 ? 2 : 1);
        } else await node.pass(each.ms);
        await turn();
      }
      for (let rounds = 0; rounds < 200; rounds += 1) {
        await node.settle();
        if (running.length === 0) break;
        node.answer();
      }
      await Promise.all(calls);
      await node.settle();
      assert.equal(node.primary.questions, 0);
      assert.equal(workers.filter(({ isAlive }) => isAlive).length, 3);
    }),
    { numRuns: propertyRuns(1_000) },
  );
});

describe('the workers of a node', () => {
  it('concurrent calls in two workers cause one load, whose value both workers keep', async (t) => {
    const { all, running, settle, answer } = start(t);
    const [one, two] = all;
    const calls = [one?.read(), one?.read(), two?.read(), two?.read()];
    await settle();
    assert.equal(running.length, 1);
    answer({ id: 7 });
    await settle();
    for (const value of await Promise.all(calls)) assert.deepEqual(value, { id: 7 });
    const messages = all.map(({ sent }) => sent());
    for (const worker of all) assert.deepEqual(await worker.read(), { id: 7 });
    assert.equal(running.length, 0);
    assert.deepEqual(
      all.map(({ sent }) => sent()),
      messages,
      'A hit has sent a message.',
    );
    assert.deepEqual([one?.count('awaited'), two?.count('awaited')], [0, 1]);
  });

  it('a value that no other worker awaits is not sent', async (t) => {
    const { all, settle, answer, primary } = start(t);
    const call = all[0]?.read();
    await settle();
    answer();
    await call;
    const received: unknown[] = [];
    const spy = primary.connect({ enter() {}, receive: (_, value) => received.push(value) });
    spy.ask({ id: 1, key: name, tags: [entryTag], acceptsValue: true });
    await settle();
    spy.close();
    assert.deepEqual(received, []);
    assert.equal(primary.questions, 0);
  });

  it('a received value expires when it does in the worker that loaded it', async (t) => {
    const { all, settle, answer, running, pass, clock } = start(t);
    t.mock.method(Math, 'random', () => 0);
    const calls = all.map(({ read }) => read());
    await settle();
    const second = all.find(({ index }) => index !== running[0]?.worker);
    answer();
    await turn();
    const [first] = all.filter((each) => each !== second);
    for (const deliver of first?.up.splice(0) ?? []) deliver();
    // The message is 10 ms on its way.
    clock.now += 10;
    await settle();
    await Promise.all(calls);
    await pass(60_000 - 11);
    await second?.read();
    assert.equal(second?.count('stale'), 0);
    await pass(1);
    await second?.read();
    assert.equal(second?.count('stale'), 1);
  });

  it('a load that fails rejects only its own callers, and the next worker loads', async (t) => {
    const { all, settle, running } = start(t);
    const [one, two] = all.map(({ read }) => read());
    await settle();
    running.shift()?.answer.reject(new Error('no'));
    await assert.rejects(one ?? assert.fail(), /no/);
    await settle();
    running.shift()?.answer.resolve({ id: 2 });
    assert.deepEqual(await two, { id: 2 });
  });

  it('a value that is too large for a message is loaded by one worker after the other', async (t) => {
    const { all, settle, answer, running } = start(t, 3);
    const calls = all.map(({ read }) => read());
    for (let loads = 0; loads < 3; loads += 1) {
      await settle();
      assert.equal(running.length, 1);
      answer({ text: 'x'.repeat(maxSentLength) });
    }
    await settle();
    await Promise.all(calls);
    assert.equal(running.length, 0);
  });

  it('when the worker that loads dies, another one is granted the load', async (t) => {
    const { all, settle, answer, running } = start(t, 3);
    const calls = all.map(({ read }) => read());
    await settle();
    const loader = running[0]?.worker ?? assert.fail();
    all[loader]?.die();
    await settle();
    assert.equal(running.length, 1);
    answer({ id: 5 });
    await settle();
    for (const [index, call] of calls.entries())
      if (index !== loader) assert.deepEqual(await call, { id: 5 });
  });

  it('one worker refreshes a stale value for all of them', async (t) => {
    const { all, settle, answer, running, clock } = start(t);
    const calls = all.map(({ read }) => read());
    await settle();
    answer({ id: 1 });
    await settle();
    await Promise.all(calls);
    clock.now += 61_000;
    for (const { read } of all) assert.deepEqual(await read(), { id: 1 });
    await settle();
    assert.equal(running.length, 1);
    answer({ id: 2 });
    await settle();
    for (const { read } of all) assert.deepEqual(await read(), { id: 2 });
    assert.equal(running.length, 0);
  });

  it('a worker whose primary does not answer in time loads without waiting, and asks again after a second', async (t) => {
    const { all, pass, answer, running } = start(t, 1);
    const [worker] = all;
    const first = worker?.read();
    await turn();
    assert.equal(running.length, 0);
    await pass(deadlineMs);
    assert.equal(running.length, 1);
    answer({ id: 1 });
    assert.deepEqual(await first, { id: 1 });
    assert.deepEqual(await worker?.read(), { id: 1 });
    await worker?.invalidate('key');
    const asked = worker?.sent();
    const second = worker?.read();
    await turn();
    answer({ id: 2 });
    assert.deepEqual([await second, worker?.sent(), worker?.unanswered()], [{ id: 2 }, asked, 1]);
    await worker?.invalidate('key');
    await pass(1_000);
    void worker?.read();
    await turn();
    assert.equal(worker?.sent(), (asked ?? 0) + 1);
  });

  it('a late answer changes nothing, and makes the worker ask again at once', async (t) => {
    const { all, pass, answer, settle, running, primary } = start(t, 1);
    const [worker] = all;
    const first = worker?.read();
    await turn();
    await pass(deadlineMs);
    answer({ id: 1 });
    await first;
    await settle();
    assert.equal(primary.questions, 0);
    await worker?.invalidate('key');
    const second = worker?.read();
    await settle();
    assert.equal(primary.questions, 1);
    assert.equal(running.length, 1);
    answer({ id: 2 });
    assert.deepEqual(await second, { id: 2 });
  });

  it('a call waits for the load of another worker for 30 s, and then loads', async (t) => {
    const { all, pass, answer, settle, running } = start(t);
    const calls = all.map(({ read }) => read());
    await settle();
    await pass(29_999);
    assert.equal(running.length, 1);
    await pass(1);
    assert.equal(running.length, 2);
    const hanging = running.shift();
    answer({ id: 2 });
    await settle();
    const waited = calls[hanging?.worker === 0 ? 1 : 0];
    assert.deepEqual(await waited, { id: 2 });
    hanging?.answer.resolve({ id: 1 });
    await Promise.all(calls);
  });

  it('the primary learns of an invalidation before a call in the same turn of the event loop asks it', async (t) => {
    const { all, settle, answer, source } = start(t);
    const [one, two] = [all[0] ?? assert.fail(), all[1] ?? assert.fail()];
    const before = two.read();
    await settle();
    source.version = 1;
    const invalidated = one.invalidate('key');
    const after = one.read();
    await turn();
    one.up.shift()?.();
    for (const deliver of two.down.splice(0)) deliver();
    answer({ id: 0 });
    await before;
    for (const deliver of two.up.splice(0)) deliver();
    await settle();
    answer();
    await invalidated;
    assert.deepEqual(await after, { id: 1 });
  });

  it('a value that another worker has loaded with an older schema is not used', async (t) => {
    const node = start(t, 1);
    const newer = node.addWorker(2);
    const calls = [node.all[0]?.read(), newer.read()];
    await node.settle();
    node.answer({ id: 1 });
    await node.settle();
    assert.equal(node.running.length, 1);
    node.answer({ id: 2 });
    await node.settle();
    assert.deepEqual(await Promise.all(calls), [{ id: 1 }, { id: 2 }]);
  });
});

it('the primary sends a value only to questions that accept one, and grants the load to the next one', () => {
  const primary = createPrimaryLoads();
  const messages: string[] = [];
  const connect = (worker: string) =>
    primary.connect({
      enter: (_, state) => messages.push(`${worker} ${state}`),
      receive: (_, { text }) => messages.push(`${worker} gets ${text}`),
    });
  const [one, two, three] = [connect('one'), connect('two'), connect('three')];
  const question = { id: 1, key: 'key', tags: [] };
  one.ask({ ...question, acceptsValue: true });
  two.ask({ ...question, acceptsValue: false });
  three.ask({ ...question, acceptsValue: true });
  one.finish(1, { text: 'value', freshUntil: 1, staleUntil: 1 });
  assert.deepEqual(messages, [
    'one granted',
    'two waiting',
    'three waiting',
    'one awaited',
    'three gets value',
    'two granted',
  ]);
});

it('a worker that exits is granted no load, although it has a waiting question', () => {
  const primary = createPrimaryLoads();
  const granted: string[] = [];
  const connect = (worker: string) =>
    primary.connect({
      enter: (id, state) => void (state === 'granted' && granted.push(`${worker} ${id}`)),
      receive() {},
    });
  const [one, two] = [connect('one'), connect('two')];
  const question = { key: 'key', tags: [], acceptsValue: true };
  one.ask({ ...question, id: 1 });
  one.ask({ ...question, id: 2 });
  two.ask({ ...question, id: 1 });
  one.close();
  assert.deepEqual(granted, ['one 1', 'two 1']);
});
