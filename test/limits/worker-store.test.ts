import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  parseToChild,
  parseToSupervisor,
  type ToChild,
  type ToSupervisor,
} from '../../src/cluster/messages.ts';
import { type LimitAnswer, type LimitChannel, type LimitReceiver, leaseMs } from '../../src/limits/lease.ts';
import type { Limit, LimitStore } from '../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { createPrimaryLimits, type PrimaryLimits } from '../../src/limits/primary-limits.ts';
import {
  createWorkerLimitStore,
  type WorkerLimitStore,
  type WorkerLimitStoreOptions,
} from '../../src/limits/worker-store.ts';
import { conformsToLimitStore } from '../conformance/limit-store.ts';

interface Joined {
  readonly store: WorkerLimitStore;
  /** The kinds of the messages that the worker sent. */
  readonly sent: string[];
}

/** Connects the store of a worker to the primary by messages that are serialised and arrive asynchronously. */
function joinWorker(primary: PrimaryLimits, now: () => number): Joined {
  const sent: string[] = [];
  let receiver: LimitReceiver | undefined;
  const toWorker = (message: ToChild) => {
    const text = JSON.stringify(message);
    setImmediate(() => {
      const known = parseToChild(JSON.parse(text));
      if (known?.kind === 'decision') receiver?.answer(known);
      if (known?.kind === 'recall') receiver?.recall(known.lease);
    });
  };
  const end = primary.connect({
    answer: (answer) => toWorker({ kind: 'decision', ...answer }),
    recall: (lease) => toWorker({ kind: 'recall', lease }),
  });
  const toPrimary = (message: ToSupervisor) => {
    const text = JSON.stringify(message);
    sent.push(message.kind);
    setImmediate(() => {
      const known = parseToSupervisor(JSON.parse(text));
      if (known?.kind === 'limit') end.define(known);
      if (known?.kind === 'take') end.ask(known);
      if (known?.kind === 'return') end.returnLease(known);
    });
  };
  const store = createWorkerLimitStore({
    channel: {
      define: ({ name, policies }) => toPrimary({ kind: 'limit', name, policies: [...policies] }),
      ask: (question) => toPrimary({ kind: 'take', ...question }),
      returnLease: (returned) => toPrimary({ kind: 'return', ...returned }),
      listen: (given) => {
        receiver = given;
      },
    },
    now,
    deadlineMs: 10_000,
    onFailure: 'open',
    onUnanswered: () => assert.fail('The primary has not answered.'),
  });
  return { store, sent };
}

/** Creates several workers of one primary with one clock. */
function joinWorkers(count: number, now: () => number): readonly Joined[] {
  const primary = createPrimaryLimits({ store: createMemoryLimitStore({ maxClients: 1000, now }), now });
  return Array.from({ length: count }, () => joinWorker(primary, now));
}

const limitOf = (quota: number, windowMs = 60_000): Limit => ({
  name: 'minute',
  policies: [{ name: 'minute', quota, windowMs }],
});
const limit = limitOf(20);

/** Sends requests to the workers round robin, in sequence or in parallel, and counts the allowed ones. */
async function countAllowed(stores: readonly LimitStore[], limit: Limit, requests: number, atOnce: boolean) {
  let allowed = 0;
  const take = async (index: number) => {
    if ((await stores[index % stores.length]?.take(limit, 'client'))?.allowed) allowed += 1;
  };
  if (atOnce) await Promise.all(Array.from({ length: requests }, (_, index) => take(index)));
  else for (let index = 0; index < requests; index += 1) await take(index);
  return allowed;
}

describe('the limiter of a worker', () => {
  conformsToLimitStore(({ clock }) => {
    const [worker] = joinWorkers(1, () => clock.now);
    assert.ok(worker);
    return worker.store;
  });

  for (const workers of [1, 2, 4]) {
    for (const atOnce of [true, false]) {
      const how = atOnce ? 'at once' : 'one after another';
      it(`each limit is exact across ${workers} with requests ${how}`, async () => {
        for (const quota of [1, 20, 100, 700]) {
          const stores = joinWorkers(workers, () => 1000).map(({ store }) => store);
          assert.equal(await countAllowed(stores, limitOf(quota), 2 * quota + 5, atOnce), quota);
        }
      });
    }
  }

  it('far from the limit, the worker rarely asks the primary', async () => {
    const [worker] = joinWorkers(1, () => 1000);
    assert.ok(worker);
    assert.equal(await countAllowed([worker.store], limitOf(100_000), 6500, false), 6500);
    const asked = worker.sent.filter((kind) => kind === 'take').length;
    assert.ok(asked < 6500 / 50, `It asked ${asked} times.`);
  });

  it('for a client with rare requests, the worker asks each time and gets no lease', async () => {
    let time = 0;
    const [worker] = joinWorkers(1, () => time);
    for (time = 0; time < 5000; time += 500) await worker?.store.take(limitOf(1000), 'client');
    assert.deepEqual(
      worker?.sent.filter((kind) => kind !== 'limit'),
      new Array(10).fill('take'),
    );
  });

  it('for a rejected client, the worker does not ask until the time that the rejection states', async () => {
    let time = 0;
    const [worker] = joinWorkers(1, () => time);
    assert.ok(worker);
    const { store, sent } = worker;
    await countAllowed([store], limit, 21, false);
    const before = sent.length;
    time = 59_999;
    const rejection = await store.take(limit, 'client');
    assert.deepEqual(rejection, { allowed: false, policy: limit.policies[0], remaining: 0, resetMs: 1 });
    assert.equal(sent.length, before);
    time = 60_000;
    assert.equal((await store.take(limit, 'client')).allowed, true);
  });

  it('the reported remaining permits are never too many, and too few by at most a lease', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1000 }), async (quota) => {
        const [worker] = joinWorkers(1, () => 1000);
        for (let left = quota - 1; left >= 0; left -= 1) {
          const decision = await worker?.store.take(limitOf(quota), 'client');
          assert.ok(decision !== undefined && decision.remaining <= left && decision.remaining >= left - 125);
        }
      }),
      { numRuns: 5 },
    );
  });

  it('no permit of a lease is used from its expiry on', async () => {
    let time = 0;
    const [worker] = joinWorkers(1, () => time);
    const limit = limitOf(1000);
    const take = () => worker?.store.take(limit, 'client');
    for (let requests = 0; requests < 3; requests += 1) await take();
    time = leaseMs - 1;
    assert.ok(!(take() instanceof Promise));
    time = leaseMs;
    assert.ok(take() instanceof Promise);
  });

  it('returnLeases returns the unused permits of all leases', async () => {
    const [one, other] = joinWorkers(2, () => 1000);
    assert.ok(one && other);
    await countAllowed([one.store], limitOf(100), 3, false);
    one.store.returnLeases();
    assert.ok(one.sent.includes('return'));
    assert.equal((await other.store.take(limitOf(100), 'client')).remaining, 96 - 12);
  });
});

describe('a primary that does not answer', () => {
  /** Creates the store of a worker whose questions the test answers, or does not. */
  function makeUnanswered(onFailure: WorkerLimitStoreOptions['onFailure'] = 'open') {
    const asked: unknown[] = [];
    const clock = { now: 0 };
    const reports: number[] = [];
    let receiver: LimitReceiver | undefined;
    const channel: LimitChannel = {
      define: ({ name }) => asked.push(`limit ${name}`),
      ask: (question) => asked.push(question),
      returnLease: (returned) => asked.push(returned),
      listen: (given) => {
        receiver = given;
      },
    };
    const store = createWorkerLimitStore({
      channel,
      now: () => clock.now,
      deadlineMs: 20,
      onFailure,
      onUnanswered: (requests) => reports.push(requests),
    });
    const answer = (id: number, given: Partial<LimitAnswer> = {}) =>
      receiver?.answer({
        ...{ id, allowed: true, policy: 0, remaining: 7, resetMs: 1, decidedAt: 0, lease: null },
        ...given,
      });
    /** Sweeps as often as the deadline requires, up to this time. */
    const sweepAt = (time: number) => {
      for (; clock.now < time; clock.now = Math.min(clock.now + 10, time)) store.sweep();
      store.sweep();
    };
    return { store, clock, asked, answer, sweepAt, reports };
  }

  const allowedDecision = { allowed: true, policy: limit.policies[0], remaining: 20, resetMs: 0 };

  it('after the deadline, requests are allowed or rejected as configured', async () => {
    for (const onFailure of ['open', 'closed'] as const) {
      const { store, sweepAt } = makeUnanswered(onFailure);
      const keys = ['a', 'a', 'a', 'b'];
      const ends = Promise.allSettled(keys.map(async (key) => store.take(limit, key)));
      sweepAt(20);
      for (const end of await ends) {
        if (onFailure === 'open') assert.deepEqual(end, { status: 'fulfilled', value: allowedDecision });
        else assert.equal(end.status === 'rejected' && end.reason.code, 'not_ready');
      }
    }
  });

  it('while the primary does not answer, requests do not wait, and one question at a time is sent', async () => {
    const { store, asked, answer, sweepAt } = makeUnanswered();
    const first = store.take(limit, 'a');
    sweepAt(20);
    await first;
    asked.length = 0;
    for (const key of ['a', 'a', 'b']) assert.deepEqual(store.take(limit, key), allowedDecision);
    assert.deepEqual(asked, [{ id: 2, limit: 'minute', key: 'a' }]);
    answer(2);
    assert.ok(store.take(limit, 'a') instanceof Promise);
  });

  it('unanswered requests are reported once per second with their number', async () => {
    const { store, sweepAt, reports } = makeUnanswered();
    void store.take(limit, 'a');
    sweepAt(20);
    for (let request = 0; request < 50; request += 1) void store.take(limit, 'a');
    for (const time of [500, 1019, 1020, 1021, 5000]) sweepAt(time);
    assert.deepEqual(reports, [1, 50]);
  });

  it('an answer that arrived while the worker was blocked is used', async () => {
    const { store, answer, clock } = makeUnanswered();
    const first = store.take(limit, 'a');
    clock.now = 1000;
    store.sweep();
    answer(1, { allowed: false, remaining: 0 });
    assert.equal((await first).allowed, false);
  });

  it('a late answer does not affect later questions, and its lease is returned unused', async () => {
    const { store, asked, answer, sweepAt } = makeUnanswered();
    const first = store.take(limit, 'client');
    sweepAt(20);
    await first;
    answer(1, { lease: { id: 5, permits: 30, expiresAt: 100 } });
    assert.deepEqual(asked.at(-1), { lease: 5, spent: 0, lastAt: 0 });
    const second = store.take(limit, 'client');
    answer(1, { allowed: false, remaining: 0 });
    answer(2, { remaining: 3 });
    assert.equal((await second).remaining, 3);
  });

  it('the worker defines a limit once, before its first question', () => {
    const { store, asked } = makeUnanswered();
    for (const key of ['a', 'b']) void store.take(limit, key);
    assert.deepEqual(asked, [
      'limit minute',
      { id: 1, limit: 'minute', key: 'a' },
      { id: 2, limit: 'minute', key: 'b' },
    ]);
  });
});
