import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type BreakerPolicy,
  type BreakerState,
  CircuitBreaker,
} from '../../src/resilience/circuit-breaker.ts';

const policy: BreakerPolicy = {
  windowMs: 1000,
  minCalls: 4,
  minFailures: 2,
  failureRate: 0.5,
  slowCallMs: 300,
  openMs: 500,
  maxOpenMs: 1500,
};

/** One step of a table: at time `at`, an action and what follows. */
type Step =
  | { at: number; admit: 'admitted' | 'rejected'; as?: string; retryAfterMs?: number }
  | { at: number; report: 'ok' | 'failed'; of: string; ms?: number; state: BreakerState }
  | { at: number; release: string; state: BreakerState }
  | { at: number; state: BreakerState };

function run(steps: readonly Step[]): void {
  const breaker = new CircuitBreaker(policy);
  const permits = new Map<string, number>();
  for (const step of steps) {
    const where = JSON.stringify(step);
    if ('admit' in step) {
      const permit = breaker.admit(step.at);
      assert.equal(permit === undefined ? 'rejected' : 'admitted', step.admit, where);
      if (permit !== undefined && step.as !== undefined) permits.set(step.as, permit);
      if (step.retryAfterMs !== undefined)
        assert.equal(breaker.retryAfterMs(step.at), step.retryAfterMs, where);
    } else if ('report' in step) {
      breaker.report(permits.get(step.of) ?? Number.NaN, step.report === 'failed', step.ms ?? 1, step.at);
      assert.equal(breaker.state(step.at), step.state, where);
    } else {
      if ('release' in step) breaker.release(permits.get(step.release) ?? Number.NaN, step.at);
      assert.equal(breaker.state(step.at), step.state, where);
    }
  }
}

const admitted = (at: number, ...names: string[]): Step[] =>
  names.map((as) => ({ at, admit: 'admitted', as }));
const failed = (at: number, of: string, state: BreakerState): Step => ({ at, report: 'failed', of, state });
const ok = (at: number, of: string, state: BreakerState): Step => ({ at, report: 'ok', of, state });

/** Opens the circuit at time 0, until 500. A call `late` is still running. */
const opened: readonly Step[] = [
  ...admitted(0, 'a', 'b', 'c', 'd', 'late'),
  ok(0, 'a', 'closed'),
  ok(0, 'b', 'closed'),
  failed(0, 'c', 'closed'),
  failed(0, 'd', 'open'),
];
/** Starts the trial `t` at time 500. */
const tried: readonly Step[] = [...opened, ...admitted(500, 't')];

const table: Readonly<Record<string, readonly Step[]>> = {
  'a circuit with failures below the minimum of calls stays closed': [
    ...admitted(0, 'a', 'b', 'c'),
    failed(0, 'a', 'closed'),
    failed(0, 'b', 'closed'),
    failed(0, 'c', 'closed'),
  ],
  'a circuit with failures below the rate stays closed': [
    ...admitted(0, 'a', 'b', 'c', 'd', 'e'),
    ok(0, 'a', 'closed'),
    ok(0, 'b', 'closed'),
    ok(0, 'c', 'closed'),
    failed(0, 'd', 'closed'),
    failed(0, 'e', 'closed'),
  ],
  'a circuit opens when the failures reach the rate': opened,
  'failures that have left the window do not open the circuit': [
    ...admitted(0, 'a', 'b', 'c', 'd'),
    failed(0, 'a', 'closed'),
    failed(0, 'b', 'closed'),
    failed(0, 'c', 'closed'),
    failed(1000, 'd', 'closed'),
  ],
  'failures just inside the window open the circuit': [
    ...admitted(0, 'a', 'b', 'c', 'd'),
    failed(0, 'a', 'closed'),
    failed(0, 'b', 'closed'),
    failed(0, 'c', 'closed'),
    failed(999, 'd', 'open'),
  ],
  'slow calls count as failures': [
    ...admitted(0, 'a', 'b', 'c', 'd'),
    ok(0, 'a', 'closed'),
    ok(0, 'b', 'closed'),
    { at: 300, report: 'ok', of: 'c', ms: 300, state: 'closed' },
    { at: 300, report: 'ok', of: 'd', ms: 300, state: 'open' },
  ],
  'an open circuit rejects calls and returns the rest of its open time': [
    ...opened,
    { at: 0, admit: 'rejected', retryAfterMs: 500 },
    { at: 499, admit: 'rejected', retryAfterMs: 1 },
    { at: 500, state: 'half-open' },
  ],
  'a half-open circuit admits one trial at a time': [
    ...tried,
    { at: 500, admit: 'rejected', retryAfterMs: 300 },
    { at: 600, admit: 'rejected', retryAfterMs: 200 },
  ],
  'a successful trial closes the circuit with an empty window': [
    ...tried,
    ok(510, 't', 'closed'),
    ...admitted(510, 'e', 'f'),
    failed(510, 'e', 'closed'),
    failed(510, 'f', 'closed'),
  ],
  'a failed trial opens the circuit for twice the time': [
    ...tried,
    failed(510, 't', 'open'),
    { at: 510, admit: 'rejected', retryAfterMs: 1000 },
  ],
  'the open time grows to its maximum': [
    ...tried,
    failed(500, 't', 'open'),
    ...admitted(1500, 't'),
    failed(1500, 't', 'open'),
    { at: 1500, admit: 'rejected', retryAfterMs: 1500 },
    ...admitted(3000, 't'),
    failed(3000, 't', 'open'),
    { at: 3000, admit: 'rejected', retryAfterMs: 1500 },
  ],
  'a circuit that opens again soon after it closed stays open longer': [
    ...tried,
    ok(500, 't', 'closed'),
    ...admitted(600, 'a', 'b', 'c', 'd'),
    failed(600, 'a', 'closed'),
    failed(600, 'b', 'closed'),
    failed(600, 'c', 'closed'),
    failed(600, 'd', 'open'),
    { at: 600, admit: 'rejected', retryAfterMs: 1000 },
  ],
  'a circuit that opens long after it closed starts with the first open time': [
    ...tried,
    ok(500, 't', 'closed'),
    ...admitted(1600, 'a', 'b', 'c', 'd'),
    failed(1600, 'a', 'closed'),
    failed(1600, 'b', 'closed'),
    failed(1600, 'c', 'closed'),
    failed(1600, 'd', 'open'),
    { at: 1600, admit: 'rejected', retryAfterMs: 500 },
  ],
  'a trial that takes too long has failed, and its late result counts for nothing': [
    ...tried,
    { at: 800, state: 'open' },
    { at: 800, admit: 'rejected', retryAfterMs: 1000 },
    ok(801, 't', 'open'),
  ],
  'a trial that never reports is followed by another one': [
    ...tried,
    { at: 100_000, admit: 'admitted', as: 'u' },
    ok(100_001, 'u', 'closed'),
  ],
  'a released trial makes room for the next one': [
    ...tried,
    { at: 510, release: 't', state: 'half-open' },
    { at: 510, admit: 'admitted', as: 'u' },
    { at: 510, admit: 'rejected' },
    ok(511, 't', 'half-open'),
    ok(511, 'u', 'closed'),
  ],
  'the result of a trial that was released counts for nothing': [
    ...tried,
    { at: 510, release: 't', state: 'half-open' },
    ok(511, 't', 'half-open'),
  ],
  'the late result of a call from before the opening changes nothing': [
    ...tried,
    ok(510, 'late', 'half-open'),
    failed(510, 'late', 'half-open'),
    ok(510, 't', 'closed'),
    failed(510, 'late', 'closed'),
  ],
  'a half-open circuit that is not called closes when its failures have left the window': [
    ...opened,
    { at: 1499, state: 'half-open' },
    { at: 1500, state: 'closed' },
    ...admitted(1500, 'e', 'f'),
  ],
  'a clock that is set back counts as no movement': [
    ...opened,
    { at: 400, admit: 'rejected', retryAfterMs: 100 },
    { at: 100, admit: 'rejected', retryAfterMs: 100 },
  ],
};

/** The same by brute force: every result is kept, and counted for each decision. */
class NaiveBreaker {
  state: BreakerState = 'closed';
  now = 0;
  results: { bucket: number; failed: boolean }[] = [];
  until = 0;
  trial: number | undefined;
  openings = 0;
  closedAt = Number.NEGATIVE_INFINITY;
  epoch = 0;
  calls: { epoch: number }[] = [];

  advance(now: number): void {
    this.now = Math.max(this.now, now);
    if (this.state === 'half-open' && this.trial !== undefined && this.now >= this.until) {
      this.open(this.until);
    }
    if (this.state === 'open' && this.now >= this.until) this.enter('half-open');
    const isIdle = this.state === 'half-open' && this.trial === undefined;
    if (isIdle && this.now >= this.until + policy.windowMs) this.close();
  }

  enter(state: BreakerState): void {
    this.state = state;
    this.trial = undefined;
    this.epoch += 1;
  }

  close(): void {
    this.closedAt = this.now;
    this.results = [];
    this.enter('closed');
  }

  open(since: number): void {
    if (this.state === 'closed' && since - this.closedAt > policy.windowMs) this.openings = 0;
    this.until = since + Math.min(policy.maxOpenMs, policy.openMs * 2 ** this.openings);
    this.openings += 1;
    this.enter('open');
  }

  /** Returns the number of the call, or undefined. */
  admit(now: number): number | undefined {
    this.advance(now);
    if (this.state === 'open' || (this.state === 'half-open' && this.trial !== undefined)) return undefined;
    const call = this.calls.push({ epoch: this.epoch }) - 1;
    if (this.state === 'half-open') {
      this.trial = call;
      this.until = this.now + policy.slowCallMs;
    }
    return call;
  }

  report(call: number, isFailure: boolean, ms: number, now: number): void {
    this.advance(now);
    if (!this.isCurrent(call)) return;
    const isFailed = isFailure || ms >= policy.slowCallMs;
    if (this.state === 'half-open') {
      if (isFailed) this.open(this.now);
      else {
        this.close();
      }
      return;
    }
    const bucket = Math.floor(this.now / (policy.windowMs / 10));
    this.results.push({ bucket, failed: isFailed });
    const counted = this.results.filter((each) => each.bucket > bucket - 10);
    const failures = counted.filter((each) => each.failed).length;
    if (!isFailed || counted.length < policy.minCalls || failures < policy.minFailures) return;
    if (failures / counted.length >= policy.failureRate) this.open(this.now);
  }

  release(call: number, now: number): void {
    this.advance(now);
    if (this.isCurrent(call)) this.trial = undefined;
  }

  isCurrent(call: number): boolean {
    if (this.calls[call]?.epoch !== this.epoch) return false;
    return this.state === 'closed' || this.trial === call;
  }

  retryAfterMs(now: number): number {
    this.advance(now);
    return this.state === 'open' || this.trial !== undefined ? this.until - this.now : 0;
  }
}

/** Actions after a movement of the clock, which may be backwards. A call is chosen among all so far. */
const actions = fc.array(
  fc.record({
    step: fc.oneof(fc.constant(0), fc.integer({ min: -5, max: 60 }), fc.integer({ min: 0, max: 1200 })),
    kind: fc.constantFrom('admit', 'admit', 'report', 'report', 'release'),
    call: fc.nat(),
    isFailure: fc.constantFrom(true, true, false),
    ms: fc.constantFrom(1, 1, 1, 299, 300),
  }),
  { maxLength: 150 },
);

describe('a circuit breaker', () => {
  for (const [name, steps] of Object.entries(table)) it(name, () => run(steps));

  it('a circuit breaker reports each change of its state once', () => {
    const states: BreakerState[] = [];
    const breaker = new CircuitBreaker({ ...policy, minCalls: 1, minFailures: 1 }, (state) =>
      states.push(state),
    );
    breaker.report(breaker.admit(0) ?? -1, true, 1, 0);
    breaker.admit(499);
    breaker.report(breaker.admit(500) ?? -1, false, 1, 501);
    assert.deepEqual(states, ['open', 'half-open', 'closed']);
  });

  it('a circuit breaker decides like the brute-force model, for any calls and times', () => {
    const seen = new Set<BreakerState>();
    fc.assert(
      fc.property(actions, (these) => {
        const breaker = new CircuitBreaker(policy);
        const naive = new NaiveBreaker();
        /** The permit of each call of the model. */
        const permits: number[] = [];
        let now = 0;
        for (const { step, kind, call, isFailure, ms } of these) {
          now = Math.max(0, now + step);
          if (kind === 'admit' || permits.length === 0) {
            const permit = breaker.admit(now);
            assert.equal(permit !== undefined, naive.admit(now) !== undefined);
            if (permit !== undefined) permits.push(permit);
          } else {
            // Mostly one of the last calls, because only they are still valid.
            const index = Math.max(0, permits.length - 1 - (call % 4));
            const permit = permits[index] ?? -1;
            if (kind === 'report') {
              breaker.report(permit, isFailure, ms, now);
              naive.report(index, isFailure, ms, now);
            } else {
              breaker.release(permit, now);
              naive.release(index, now);
            }
          }
          assert.equal(breaker.state(now), naive.state);
          assert.equal(breaker.retryAfterMs(now), naive.retryAfterMs(now));
          seen.add(naive.state);
        }
      }),
      { numRuns: 1000 },
    );
    assert.equal(seen.size, 3);
  });
});
