import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Decision, maxWindowMs, type Policy, SlidingLog } from '../../src/resilience/sliding-window.ts';

/**
 * The definition by brute force: every granted permit is kept, and counted for each request. The reported policy is the
 * exceeded one with the longest wait, or else the one with the fewest permits left, the first of equals.
 */
class NaiveLog {
  readonly permits: number[] = [];

  take(policies: readonly Policy[], now: number): Omit<Decision, 'policy'> & { policy: string } {
    const at = Math.max(now, ...this.permits);
    const standings = policies.map((policy) => this.#standing(policy, at));
    const refusing = standings.filter(({ remaining }) => remaining === 0);
    if (refusing.length > 0) {
      return {
        allowed: false,
        ...refusing.reduce((longest, each) => (each.resetMs > longest.resetMs ? each : longest)),
      };
    }
    this.permits.push(at);
    const after = policies.map((policy) => this.#standing(policy, at));
    return {
      allowed: true,
      ...after.reduce((least, each) => (each.remaining < least.remaining ? each : least)),
    };
  }

  #standing({ name, quota, windowMs }: Policy, now: number) {
    const counted = this.permits.filter((time) => time > now - windowMs && time <= now);
    const oldest = Math.min(...counted);
    return {
      policy: name,
      remaining: quota - counted.length,
      resetMs: counted.length === 0 ? 0 : oldest + windowMs - now,
    };
  }
}

const policies = fc
  .array(fc.record({ quota: fc.integer({ min: 1, max: 8 }), windowMs: fc.integer({ min: 1, max: 50 }) }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((rows) => rows.map((row, index) => ({ name: `p${index}`, ...row })));

/** How far the clock moves between requests: often not at all, sometimes backwards, which counts as no movement. */
const steps = fc.array(
  fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 60 }), fc.constant(-3)),
  {
    maxLength: 200,
  },
);

describe('a sliding log', () => {
  it('a sliding log decides like the brute-force definition, for any policies and times', () => {
    fc.assert(
      fc.property(policies, steps, (these, times) => {
        const log = new SlidingLog();
        const naive = new NaiveLog();
        let now = 1_000_000;
        for (const step of times) {
          now += step;
          const { policy, ...decision } = log.take(these, now);
          assert.deepEqual({ ...decision, policy: policy.name }, naive.take(these, now));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('no window ever holds more permits than its quota', () => {
    fc.assert(
      fc.property(policies, steps, (these, times) => {
        const log = new SlidingLog();
        const given: number[] = [];
        let now = 0;
        for (const step of times) {
          now += Math.max(0, step);
          if (log.take(these, now).allowed) given.push(now);
        }
        for (const { quota, windowMs } of these) {
          for (const [index, from] of given.entries()) {
            const within = given.slice(index).filter((time) => time < from + windowMs).length;
            assert.ok(within <= quota);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a request is allowed exactly at the time that a rejection states, and not a millisecond earlier', () => {
    fc.assert(
      fc.property(policies, steps, (these, times) => {
        let now = 0;
        const log = new SlidingLog();
        for (const step of times) {
          now += Math.max(0, step);
          const { allowed, resetMs } = log.take(these, now);
          if (allowed) continue;
          assert.equal(log.take(these, now + resetMs - 1).allowed, false);
          now += resetMs;
          assert.equal(log.take(these, now).allowed, true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a sliding log holds at most as many times as its largest quota', () => {
    const log = new SlidingLog();
    const two = [
      { name: 'short', quota: 2, windowMs: 10 },
      { name: 'long', quota: 5, windowMs: 1000 },
    ];
    for (let now = 0; now < 100_000; now += 1) log.take(two, now);
    assert.equal(log.size, 5);
  });

  it('a permit is free again exactly at the end of its window', () => {
    const one = [{ name: 'one', quota: 1, windowMs: 1000 }];
    const log = new SlidingLog();
    assert.equal(log.take(one, 500).allowed, true);
    assert.deepEqual(log.take(one, 1499), { allowed: false, policy: one[0], remaining: 0, resetMs: 1 });
    assert.equal(log.take(one, 1500).allowed, true);
  });

  it('rejected requests do not count', () => {
    const one = [{ name: 'one', quota: 1, windowMs: 1000 }];
    const log = new SlidingLog();
    for (let now = 0; now < 1000; now += 1) log.take(one, now);
    assert.equal(log.take(one, 1000).allowed, true);
  });

  it('a sliding log treats a clock that moves backwards as stopped', () => {
    const two = [{ name: 'two', quota: 2, windowMs: 1000 }];
    const log = new SlidingLog();
    log.take(two, 5000);
    assert.deepEqual(log.take(two, 0), { allowed: true, policy: two[0], remaining: 0, resetMs: 1000 });
    assert.equal(log.last, 5000);
    assert.equal(log.take(two, 4000).allowed, false);
  });

  it('an empty sliding log has no last permit', () => {
    const log = new SlidingLog();
    assert.deepEqual([log.size, log.last], [0, Number.NEGATIVE_INFINITY]);
  });

  it('a sliding log without policies throws a RangeError', () =>
    assert.throws(() => new SlidingLog().take([], 0), RangeError));
});

describe('reserved permits', () => {
  const hundred: readonly Policy[] = [{ name: 'only', quota: 100, windowMs: 1000 }];

  /** Creates a log with one permit at 0 and 60 reserved. */
  function makeLog(): SlidingLog {
    const log = new SlidingLog();
    log.take(hundred, 0);
    log.reserve(60);
    return log;
  }

  it('reserved permits are unavailable for other requests, however much time passes', () => {
    const log = makeLog();
    for (const now of [0, 100_000]) assert.equal(log.take(hundred, now).remaining, now === 0 ? 38 : 39);
    for (let count = 0; count < 39; count += 1) log.take(hundred, 100_000);
    assert.equal(log.take(hundred, 100_000).allowed, false);
  });

  it('released permits that were used count from the time of the last use, and the rest is free', () => {
    const log = makeLog();
    log.release(hundred, 60, 50, 200);
    assert.equal(log.reserved, 0);
    assert.equal(log.take(hundred, 1000).remaining, 49);
    assert.equal(log.take(hundred, 1199).remaining, 48);
    assert.equal(log.take(hundred, 1200).remaining, 97);
  });

  it('released permits that were used count from the newest permit if that is later', () => {
    const log = makeLog();
    log.take(hundred, 300);
    log.release(hundred, 60, 50, 200);
    assert.equal(log.take(hundred, 1299).remaining, 48);
    assert.equal(log.take(hundred, 1300).remaining, 98);
  });

  it('reserved permits used at one moment have the same effect as requested ones', () => {
    fc.assert(
      fc.property(policies, steps, (these, times) => {
        const [leased, asked] = [new SlidingLog(), new SlidingLog()];
        let now = 0;
        for (const step of times) {
          now += Math.max(step, 0);
          const decision = leased.take(these, now);
          assert.deepEqual(decision, asked.take(these, now));
          const spent = decision.allowed ? Math.min(decision.remaining, step + 3) : 0;
          leased.reserve(spent);
          leased.release(these, spent, spent, now);
          for (let count = 0; count < spent; count += 1) asked.take(these, now);
        }
      }),
    );
  });
});

it('maxWindowMs is the longest window of the policies', () => {
  assert.equal(
    maxWindowMs([
      { name: 'a', quota: 9, windowMs: 5 },
      { name: 'b', quota: 1, windowMs: 7 },
    ]),
    7,
  );
});
