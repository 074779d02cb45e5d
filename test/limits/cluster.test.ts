import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readToPrimary, readToWorker, type ToPrimary, type ToWorker } from '../../src/cluster/messages.ts';
import { createClusterLimitStore, type LimitAnswer } from '../../src/limits/cluster.ts';
import type { LimitStore } from '../../src/limits/limit-store.ts';
import { createMemoryLimitStore, type MemoryLimitStore } from '../../src/limits/memory.ts';
import { createPrimaryLimits } from '../../src/limits/primary-limits.ts';
import { conformsToLimitStore } from '../conformance/limit-store.ts';

/** A worker's store and the primary's end of it, joined by messages that go as text and arrive in a later turn. */
function joinWorker(store: MemoryLimitStore): LimitStore {
  const limits = createPrimaryLimits(store);
  let receive = (_answer: LimitAnswer) => {};
  const toWorker = (message: ToWorker) => {
    const text = JSON.stringify(message);
    setImmediate(() => {
      const known = readToWorker(JSON.parse(text));
      if (known?.kind === 'decision') receive(known);
    });
  };
  const toPrimary = (message: ToPrimary) => {
    const text = JSON.stringify(message);
    setImmediate(() => {
      const known = readToPrimary(JSON.parse(text));
      if (known?.kind === 'limit') limits.define(known);
      if (known?.kind !== 'take') return;
      const answer = limits.decide(known);
      if (answer !== undefined) toWorker({ kind: 'decision', ...answer });
    });
  };
  return createClusterLimitStore({
    channel: {
      define: ({ name, policies }) => toPrimary({ kind: 'limit', name, policies: [...policies] }),
      ask: (question) => toPrimary({ kind: 'take', ...question }),
      onDecision: (given) => {
        receive = given;
      },
    },
    deadlineMs: 10_000,
    onTimeout: () => assert.fail('The primary has not answered.'),
  });
}

const limit = { name: 'minute', policies: [{ name: 'minute', quota: 20, windowMs: 60_000 }] };

describe('the limiter of a worker', () => {
  conformsToLimitStore(({ clock }) =>
    joinWorker(createMemoryLimitStore({ maxClients: 1000, now: () => clock.now })),
  );

  it('shares each limit with all workers, exactly', async () => {
    const store = createMemoryLimitStore({ maxClients: 1000, now: () => 0 });
    const workers = Array.from({ length: 4 }, () => joinWorker(store));
    const decisions = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => workers[index % 4]?.take({ ...limit }, 'client')),
    );
    assert.equal(decisions.filter((decision) => decision?.allowed).length, 20);
  });
});

describe('a primary that does not answer', () => {
  /** A worker's store whose questions are kept, to be answered by the test or not at all. */
  function makeUnanswered() {
    const asked: unknown[] = [];
    let receive = (_answer: LimitAnswer) => {};
    let timeouts = 0;
    const store = createClusterLimitStore({
      channel: {
        define: ({ name }) => asked.push(`limit ${name}`),
        ask: (question) => asked.push(question),
        onDecision: (given) => {
          receive = given;
        },
      },
      deadlineMs: 20,
      onTimeout: () => {
        timeouts += 1;
      },
    });
    return { store, asked, answer: (given: LimitAnswer) => receive(given), timeouts: () => timeouts };
  }

  it('lets requests in after the deadline, and each is told', async () => {
    const { store, timeouts } = makeUnanswered();
    const startedAt = performance.now();
    const decisions = await Promise.all(Array.from({ length: 50 }, () => store.take(limit, 'client')));
    assert.ok(performance.now() - startedAt >= 19);
    for (const decision of decisions) {
      assert.deepEqual(decision, { allowed: true, policy: limit.policies[0], remaining: 20, resetMs: 0 });
    }
    assert.equal(timeouts(), 50);
  });

  it('and then answers too late has no effect on later questions', async () => {
    const { store, answer, timeouts } = makeUnanswered();
    await store.take(limit, 'client');
    const second = store.take(limit, 'client');
    answer({ id: 1, allowed: false, policy: 0, remaining: 0, resetMs: 1 });
    answer({ id: 2, allowed: true, policy: 0, remaining: 7, resetMs: 1 });
    assert.equal((await second).remaining, 7);
    assert.equal(timeouts(), 1);
  });

  it('has been told what a limit is before it is asked, once', async () => {
    const { store, asked } = makeUnanswered();
    await Promise.all(['a', 'b'].map((key) => store.take(limit, key)));
    assert.deepEqual(asked, [
      'limit minute',
      { id: 1, limit: 'minute', key: 'a' },
      { id: 2, limit: 'minute', key: 'b' },
    ]);
  });
});
