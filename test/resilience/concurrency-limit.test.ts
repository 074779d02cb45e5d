import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConcurrencyLimit } from '../../src/resilience/concurrency-limit.ts';
import { propertyRuns } from '../helpers/property-runs.ts';

const policy = { minLimit: 8, maxLimit: 200, targetMs: 20, queueTargetMs: 50 };

/** Ends `count` turns of this length, and returns the time after them. */
function endTurns(limit: ConcurrencyLimit, count: number, busyMs: number, from: number): number {
  let now = from;
  for (let turn = 0; turn < count; turn += 1) {
    now += Math.max(busyMs, 10);
    limit.endTurn(busyMs, now);
  }
  return now;
}

describe('the concurrency limit', () => {
  it('admits work until the limit is used, and a smaller share of it to others', () => {
    const limit = new ConcurrencyLimit({ ...policy, maxLimit: 10 });
    const admitted = (hasPriority: boolean) =>
      Array.from({ length: 20 }, () => limit.admit(hasPriority)).filter(Boolean).length;
    assert.deepEqual([admitted(false), admitted(false), admitted(true)], [8, 0, 2]);
  });

  it('counts finished work until its turn ends, so that a turn has no more work than the limit', () => {
    const limit = new ConcurrencyLimit({ ...policy, maxLimit: 10 });
    let done = 0;
    for (let request = 0; request < 50; request += 1) {
      if (!limit.admit(true)) continue;
      limit.release();
      done += 1;
    }
    assert.equal(done, 10);
    limit.endTurn(5, 5);
    assert.equal(limit.admit(true), true);
  });

  it('is unchanged by one long turn among short ones', () => {
    const limit = new ConcurrencyLimit(policy);
    let now = endTurns(limit, 50, 5, 0);
    now = endTurns(limit, 1, 400, now);
    endTurns(limit, 50, 5, now);
    assert.equal(limit.limit, 200);
  });

  it('falls while turns are long, to the minimum, and grows back to the maximum when they are short', () => {
    const limit = new ConcurrencyLimit(policy);
    for (let request = 0; request < 200; request += 1) limit.admit(true);
    let now = endTurns(limit, 30, 60, 0);
    assert.equal(limit.limit, 8);
    for (let request = 0; request < 200; request += 1) limit.release();
    now = endTurns(limit, 200, 2, now);
    assert.equal(limit.limit, 200);
  });

  it('admits less work without priority while it rejects work with priority, and the usual part afterwards', () => {
    const limit = new ConcurrencyLimit({ ...policy, maxLimit: 100 });
    let now = 0;
    for (let turn = 0; turn < 50; turn += 1) {
      for (let request = 0; request < 200; request += 1) limit.admit(true);
      while (limit.inProgress > 0) limit.release();
      now = endTurns(limit, 1, 5, now + 100);
    }
    const admitted = () => Array.from({ length: 50 }, () => limit.admit(false)).filter(Boolean).length;
    assert.equal(admitted(), 10);
    while (limit.inProgress > 0) limit.release();
    endTurns(limit, 500, 5, now);
    assert.equal(limit.share, 0.8);
  });

  it('falls while a queue behind the event loop is long, in proportion to it', () => {
    const limit = new ConcurrencyLimit(policy);
    for (let request = 0; request < 200; request += 1) limit.admit(true);
    for (const now of [100, 200]) limit.endTurn(1, now, { queueMs: 100 });
    assert.equal(limit.limit, 100);
  });

  it('is the minimum while memory is short', () => {
    const limit = new ConcurrencyLimit(policy);
    limit.endTurn(1, 1, { isMemoryShort: true });
    assert.deepEqual([limit.limit, limit.isMemoryShort], [8, true]);
    limit.endTurn(1, 2);
    assert.equal(limit.limit, 200);
  });

  it('keeps its invariants under any load', () => {
    const step = fc.record({
      arrivals: fc.nat(300),
      finished: fc.double({ min: 0, max: 1, noNaN: true }),
      busyMs: fc.double({ min: 0, max: 500, noNaN: true }),
      idleMs: fc.nat(200),
      isMemoryShort: fc.boolean(),
      queueMs: fc.nat(1_000),
      hasPriority: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const limit = new ConcurrencyLimit(policy);
        let now = 0;
        let inProgress = 0;
        for (const { arrivals, finished, busyMs, idleMs, isMemoryShort, queueMs, hasPriority } of steps) {
          let inTurn = inProgress;
          for (let arrival = 0; arrival < arrivals; arrival += 1) {
            const isAdmitted = limit.admit(hasPriority);
            assert.equal(
              isAdmitted,
              inTurn < Math.max(1, Math.floor(limit.limit * (hasPriority ? 1 : limit.share))),
            );
            if (isAdmitted) inTurn += 1;
          }
          inProgress = inTurn;
          for (let count = Math.floor(inProgress * finished); count > 0; count -= 1) {
            limit.release();
            inProgress -= 1;
          }
          now += busyMs + idleMs;
          limit.endTurn(busyMs, now, { isMemoryShort, queueMs });
          assert.equal(limit.inProgress, inProgress);
          assert.ok(limit.limit >= policy.minLimit && limit.limit <= policy.maxLimit, `${limit.limit}`);
        }
        for (; inProgress > 0; inProgress -= 1) limit.release();
        endTurns(limit, 300, 1, now + 1_000);
        assert.equal(limit.limit, policy.maxLimit, 'after the load, the maximum is reached again');
      }),
      { numRuns: propertyRuns(300) },
    );
  });

  for (const [costMs, rejectionMs] of [
    [0.3, 0.02],
    [1, 0.03],
    [5, 0.05],
  ] as const) {
    it(`at three times the capacity, with ${costMs} ms for each request, holds the turns near the target`, () => {
      const limit = new ConcurrencyLimit({ ...policy, maxLimit: 1_000 });
      let now = 0;
      let arrived = 0;
      let served = 0;
      const waits: number[] = [];
      while (now < 20_000) {
        const due = Math.floor((now / costMs) * 3);
        let busyMs = 0.05;
        for (; arrived < due; arrived += 1) {
          const isAdmitted = limit.admit(true);
          busyMs += isAdmitted ? costMs : rejectionMs;
          if (!isAdmitted) continue;
          limit.release();
          if (now > 5_000) served += 1;
        }
        now += busyMs;
        limit.endTurn(busyMs, now);
        if (now > 5_000) waits.push(busyMs);
      }
      const longest = Math.max(...waits);
      assert.ok(longest < Math.max(40, 10 * costMs), `the longest turn takes ${longest} ms`);
      assert.ok((served * costMs) / 15_000 > 0.75, `${served} requests were served`);
    });
  }
});
