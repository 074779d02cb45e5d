import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Decision, maxWindowMs, type Policy, SlidingLog } from '../../src/resilience/sliding-window.ts';

/**
 * The definition, without any cleverness: every permit ever given is kept, and counted anew for each request. What
 * refuses is what refuses for longest; otherwise what has the fewest permits left, the first of equals.
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

/** How far the clock goes between requests: often not at all, sometimes back, which counts as standing still. */
const steps = fc.array(
  fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 60 }), fc.constant(-3)),
  {
    maxLength: 200,
  },
);

describe('a sliding log', () => {
  it('decides as counting all permits anew does, whatever the policies and the times', () => {
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

  it('never lets more than a quota fall into any window of its length', () => {
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

  it('lets in exactly when its refusal says, and not a millisecond sooner', () => {
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

  it('holds as many times as its largest quota and no more', () => {
    const log = new SlidingLog();
    const two = [
      { name: 'short', quota: 2, windowMs: 10 },
      { name: 'long', quota: 5, windowMs: 1000 },
    ];
    for (let now = 0; now < 100_000; now += 1) log.take(two, now);
    assert.equal(log.size, 5);
  });

  it('gives back a permit at the end of its window, to the millisecond', () => {
    const one = [{ name: 'one', quota: 1, windowMs: 1000 }];
    const log = new SlidingLog();
    assert.equal(log.take(one, 500).allowed, true);
    assert.deepEqual(log.take(one, 1499), { allowed: false, policy: one[0], remaining: 0, resetMs: 1 });
    assert.equal(log.take(one, 1500).allowed, true);
  });

  it('does not count what it refused', () => {
    const one = [{ name: 'one', quota: 1, windowMs: 1000 }];
    const log = new SlidingLog();
    for (let now = 0; now < 1000; now += 1) log.take(one, now);
    assert.equal(log.take(one, 1000).allowed, true);
  });

  it('stands still while the clock runs backwards', () => {
    const two = [{ name: 'two', quota: 2, windowMs: 1000 }];
    const log = new SlidingLog();
    log.take(two, 5000);
    assert.deepEqual(log.take(two, 0), { allowed: true, policy: two[0], remaining: 0, resetMs: 1000 });
    assert.equal(log.last, 5000);
    assert.equal(log.take(two, 4000).allowed, false);
  });

  it('that is empty was never used', () => {
    const log = new SlidingLog();
    assert.deepEqual([log.size, log.last], [0, Number.NEGATIVE_INFINITY]);
  });

  it('without policies is a mistake', () => assert.throws(() => new SlidingLog().take([], 0), RangeError));
});

describe('permits that are set aside', () => {
  const hundred: readonly Policy[] = [{ name: 'only', quota: 100, windowMs: 1000 }];

  /** A log with one permit at 0 and 60 set aside. */
  function makeLog(): SlidingLog {
    const log = new SlidingLog();
    log.take(hundred, 0);
    log.reserve(60);
    return log;
  }

  it('are missing for everybody else, however much time goes by', () => {
    const log = makeLog();
    for (const now of [0, 100_000]) assert.equal(log.take(hundred, now).remaining, now === 0 ? 38 : 39);
    for (let count = 0; count < 39; count += 1) log.take(hundred, 100_000);
    assert.equal(log.take(hundred, 100_000).allowed, false);
  });

  it('count once they are given out, from the last moment on, and the rest is free', () => {
    const log = makeLog();
    log.settle(hundred, 60, 50, 200);
    assert.equal(log.reserved, 0);
    assert.equal(log.take(hundred, 1000).remaining, 49);
    assert.equal(log.take(hundred, 1199).remaining, 48);
    assert.equal(log.take(hundred, 1200).remaining, 97);
  });

  it('count from the youngest permit on if that is later', () => {
    const log = makeLog();
    log.take(hundred, 300);
    log.settle(hundred, 60, 50, 200);
    assert.equal(log.take(hundred, 1299).remaining, 48);
    assert.equal(log.take(hundred, 1300).remaining, 98);
  });

  it('and given out all at once are as if they had been asked for', () => {
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
          leased.settle(these, spent, spent, now);
          for (let count = 0; count < spent; count += 1) asked.take(these, now);
        }
      }),
    );
  });
});

it('the longest window is that of the policy that looks back farthest', () => {
  assert.equal(
    maxWindowMs([
      { name: 'a', quota: 9, windowMs: 5 },
      { name: 'b', quota: 1, windowMs: 7 },
    ]),
    7,
  );
});
