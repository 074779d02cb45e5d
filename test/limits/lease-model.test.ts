/**
 * Leases against the brute-force model: workers, a primary and the messages between them on a simulated clock, with
 * whatever delays, deaths and pauses fast-check thinks of. What was let in is written down from outside, and compared
 * with what the policies allow.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type LimitReceiver, leaseMs } from '../../src/limits/lease.ts';
import type { Decision, Limit, Policy } from '../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { createPrimaryLimits } from '../../src/limits/primary-limits.ts';
import { createWorkerLimitStore, type WorkerLimitStore } from '../../src/limits/worker-store.ts';

const graceMs = 300;
const sweepMs = 25;
const shortMs = 1000;
const longMs = 2500;

type Step =
  | { readonly kind: 'requests'; readonly worker: number; readonly wait: number; readonly count: number }
  /** The worker does nothing for a while: it reads no messages either. */
  | { readonly kind: 'pause'; readonly worker: number; readonly wait: number; readonly ms: number }
  /** The worker is killed, and another takes its place. What it sent last may be lost. */
  | { readonly kind: 'death'; readonly worker: number; readonly wait: number; readonly isLossy: boolean };

interface Scenario {
  readonly workers: number;
  readonly quotas: readonly [short: number, long: number];
  /** The delays of messages, one after another, again and again, in milliseconds. */
  readonly delays: readonly number[];
  readonly steps: readonly Step[];
}

/** Messages in one direction: they arrive in the order in which they were sent. */
interface Wire {
  readonly queue: { readonly at: number; readonly run: () => void }[];
  send(run: () => void): void;
}

interface SimulatedWorker {
  readonly store: WorkerLimitStore;
  readonly toPrimary: Wire;
  readonly toWorker: Wire;
  readonly close: () => void;
  pausedUntil: number;
}

function simulate({ workers: count, quotas, delays }: Scenario) {
  const clock = { now: 10_000 };
  const now = () => clock.now;
  const limit: Limit = {
    name: 'model',
    policies: [
      { name: 'short', quota: quotas[0], windowMs: shortMs },
      { name: 'long', quota: quotas[1], windowMs: longMs },
    ],
  };
  const primary = createPrimaryLimits({
    store: createMemoryLimitStore({ maxClients: 10, now }),
    now,
    graceMs,
  });
  const admitted: number[] = [];
  const refused: { readonly at: number; readonly policy: Policy }[] = [];
  let resolved = 0;
  let sent = 0;

  function makeWire(): Wire {
    const queue: Wire['queue'] = [];
    return {
      queue,
      send(run) {
        sent += 1;
        const delay = delays[sent % delays.length] ?? 0;
        queue.push({ at: Math.max(clock.now + delay, queue.at(-1)?.at ?? 0), run });
      },
    };
  }

  function makeWorker(): SimulatedWorker {
    const toPrimary = makeWire();
    const toWorker = makeWire();
    let receiver: LimitReceiver | undefined;
    const end = primary.connect({
      answer(answer) {
        // A permit that was asked for is let in at the moment of the primary's decision.
        const policy = limit.policies[answer.policy];
        if (answer.allowed) admitted.push(answer.decidedAt);
        else if (policy !== undefined) refused.push({ at: answer.decidedAt, policy });
        toWorker.send(() => {
          if (answer.allowed) resolved -= 1;
          receiver?.answer(answer);
        });
      },
      recall: (lease) => toWorker.send(() => receiver?.recall(lease)),
    });
    const store = createWorkerLimitStore({
      channel: {
        define: (defined) => toPrimary.send(() => end.define(defined)),
        ask: (question) => toPrimary.send(() => end.ask(question)),
        settle: (settlement) => toPrimary.send(() => end.settle(settlement)),
        listen: (given) => {
          receiver = given;
        },
      },
      now,
      deadlineMs: Number.POSITIVE_INFINITY,
      onFailure: 'open',
      onUnanswered: () => assert.fail('A question has no answer.'),
    });
    return { store, toPrimary, toWorker, close: end.close, pausedUntil: 0 };
  }

  const workers = Array.from({ length: count }, makeWorker);

  async function deliver({ queue }: Wire): Promise<void> {
    while (queue[0] !== undefined && queue[0].at <= clock.now) {
      queue.shift()?.run();
      for (let turn = 0; turn < 3; turn += 1) await undefined;
    }
    // The rest of those who heard of it were let in here and now, from the lease that came along.
    for (; resolved > 0; resolved -= 1) admitted.push(clock.now);
  }

  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed <= ms; passed += 1) {
      for (const worker of workers) {
        await deliver(worker.toPrimary);
        if (worker.pausedUntil <= clock.now) await deliver(worker.toWorker);
      }
      if (clock.now % sweepMs === 0) {
        primary.sweep();
        for (const worker of workers) if (worker.pausedUntil <= clock.now) worker.store.sweep();
      }
      if (passed < ms) clock.now += 1;
    }
  }

  function request(worker: SimulatedWorker): void {
    const decision = worker.store.take(limit, 'client');
    if (decision instanceof Promise) {
      void decision.then(({ allowed }: Decision) => {
        if (allowed) resolved += 1;
      });
    } else if (decision.allowed) admitted.push(clock.now);
  }

  async function take(step: Step): Promise<void> {
    const index = step.worker % count;
    const worker = workers[index];
    if (worker === undefined) return;
    if (step.kind === 'pause') worker.pausedUntil = clock.now + step.ms;
    else if (step.kind === 'death') {
      if (!step.isLossy) for (const { run } of worker.toPrimary.queue) run();
      worker.close();
      workers[index] = makeWorker();
    } else if (worker.pausedUntil <= clock.now) {
      for (let sentNow = 0; sentNow < step.count; sentNow += 1) request(worker);
    }
    // Whoever wakes up serves clients first, and reads its messages then.
    if (step.wait > 0) {
      clock.now += 1;
      await pass(step.wait - 1);
    }
  }

  /** Lets all messages arrive and all leases end. */
  async function comeToRest(): Promise<void> {
    const isBusy = () =>
      primary.leases > 0 ||
      workers.some(({ toPrimary, toWorker }) => toPrimary.queue.length + toWorker.queue.length > 0);
    do await pass(1);
    while (isBusy());
  }

  /** How many the primary itself would let in now. */
  async function countLeft(): Promise<number> {
    let left = 0;
    const asker = primary.connect({
      answer: ({ allowed, lease }) => {
        if (allowed) left += 1;
        if (lease !== null) asker.settle({ lease: lease.id, spent: 0, lastAt: 0 });
      },
      recall: () => assert.fail('The asker has no lease.'),
    });
    asker.define(limit);
    for (let id = 0; id <= quotas[1]; id += 1) asker.ask({ id, limit: limit.name, key: 'client' });
    return left;
  }

  return { limit, clock, primary, admitted, refused, take, pass, comeToRest, countLeft };
}

/** How many were let in within (from, to]. */
function countIn(admitted: readonly number[], from: number, to: number): number {
  return admitted.filter((at) => at > from && at <= to).length;
}

function assertNeverTooMany(admitted: readonly number[], { policies }: Limit): void {
  const times = [...admitted].sort((one, other) => one - other);
  for (const { name, quota, windowMs } of policies) {
    times.forEach((at, index) => {
      const later = times[index + quota];
      if (later !== undefined && later - at < windowMs)
        assert.fail(`${name}: ${quota + 1} were let in within ${later - at} ms.`);
    });
  }
}

const wait = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300 }));
const worker = fc.nat({ max: 3 });
const requests = fc.record({
  kind: fc.constant('requests' as const),
  worker,
  wait,
  count: fc.integer({ min: 1, max: 30 }),
});
const death = fc.record({ kind: fc.constant('death' as const), worker, wait, isLossy: fc.boolean() });
const pauseOf = (max: number) =>
  fc.record({ kind: fc.constant('pause' as const), worker, wait, ms: fc.integer({ min: 1, max }) });

const scenarioOf = (steps: fc.Arbitrary<Step>) =>
  fc.record({
    workers: fc.integer({ min: 1, max: 4 }),
    quotas: fc.tuple(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 250 })),
    delays: fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 80 })), {
      minLength: 1,
      maxLength: 10,
    }),
    steps: fc.array(steps, { minLength: 1, maxLength: 60 }),
  });

const orderly = scenarioOf(
  fc.oneof({ weight: 15, arbitrary: requests }, { weight: 1, arbitrary: pauseOf(graceMs / 2) }),
);
const disorderly = scenarioOf(
  fc.oneof(
    { weight: 15, arbitrary: requests },
    { weight: 2, arbitrary: pauseOf(2000) },
    { weight: 2, arbitrary: death },
  ),
);

describe('workers with leases', () => {
  it('never let in more than the policies allow, and lose no permit for longer than a window', async () => {
    await fc.assert(
      fc.asyncProperty(disorderly, async (scenario) => {
        const { limit, admitted, take, pass, comeToRest, countLeft } = simulate(scenario);
        for (const step of scenario.steps) await take(step);
        await comeToRest();
        assertNeverTooMany(admitted, limit);
        await pass(longMs);
        assert.equal(await countLeft(), Math.min(...scenario.quotas));
      }),
      { numRuns: 40 },
    );
  });

  it('refuse nobody for whom a permit is left, as long as all of them live', async () => {
    await fc.assert(
      fc.asyncProperty(orderly, async (scenario) => {
        const { limit, clock, admitted, refused, take, comeToRest, countLeft } = simulate(scenario);
        for (const step of scenario.steps) await take(step);
        await comeToRest();
        assertNeverTooMany(admitted, limit);
        for (const { at, policy } of refused) {
          // What was spent from a lease may count for up to its life longer.
          const used = countIn(admitted, at - policy.windowMs - leaseMs, at);
          assert.ok(used >= policy.quota, `${policy.name} refused with ${used} of ${policy.quota} used`);
        }
        const leftAfter = (late: number) =>
          limit.policies.map(
            ({ quota, windowMs }) => quota - countIn(admitted, clock.now - windowMs - late, clock.now),
          );
        const left = await countLeft();
        assert.ok(left <= Math.min(...leftAfter(0)), `${left} are left, which is more than there are`);
        assert.ok(left >= Math.min(...leftAfter(leaseMs)), `only ${left} are left`);
      }),
      { numRuns: 60 },
    );
  });
});
