/**
 * A circuit breaker: while most calls of a dependency fail, it rejects further calls immediately, so that callers do not wait
 * for a dependency that is down, and the dependency is not loaded while it recovers.
 *
 *                      failures reach the limit
 *          closed ------------------------------> open <-----------+
 *             ^                                     |              |
 *             |                                     | its time     | the trial fails, is slow,
 *             |                                     | has passed   | or never reports
 *             |        the trial succeeds           v              |
 *             +--------------------------------- half-open --------+
 *
 * - closed: every call is admitted. The circuit opens if, within the window, at least `minCalls` calls finished, at least
 *   `minFailures` of them failed, and the failed ones are at least `failureRate` of all. A call that takes `slowCallMs` or
 *   longer has failed, also if it returned a value.
 * - open: every call is rejected. The first open time is `openMs`; it doubles with each further opening, up to `maxOpenMs`. It
 *   starts again from `openMs` if the circuit was closed for longer than the window.
 * - half-open: one call at a time is admitted, the trial. A trial that has not reported after `slowCallMs` has failed, so that
 *   a lost report cannot keep the circuit half-open. Without any call for `windowMs`, the circuit is closed: its failures have
 *   left the window.
 *
 * A call reports with the permit it was admitted with. A permit is valid until the state changes: the late result of a call
 * that started before the circuit opened neither closes nor opens it again.
 *
 * The window consists of ten buckets, so that a decision costs the same for any number of calls (about 35 ns with its report, and
 * 3 ns for a rejection): a result counts for nine tenths of `windowMs` up to the whole of it.
 *
 * Pure: `now` is a parameter, in milliseconds of any clock. A `now` that is smaller than the last one counts as the last one.
 */

import { exponentialDelay } from './retry.ts';

export interface BreakerPolicy {
  /** How long the result of a call counts, in milliseconds. */
  readonly windowMs: number;
  /** The minimum number of calls in the window before the circuit can open. */
  readonly minCalls: number;
  /** The minimum number of failed calls in the window before the circuit can open. */
  readonly minFailures: number;
  /** The part of the calls that fail when the circuit opens, above 0 and up to 1. */
  readonly failureRate: number;
  /** A call that takes at least this time has failed, in milliseconds. */
  readonly slowCallMs: number;
  /** The first open time, in milliseconds. */
  readonly openMs: number;
  /** The maximum open time, in milliseconds. */
  readonly maxOpenMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

const bucketCount = 10;

export class CircuitBreaker {
  readonly #policy: BreakerPolicy;
  readonly #onChange: (state: BreakerState) => void;
  readonly #bucketMs: number;
  #state: BreakerState = 'closed';
  #now = Number.NEGATIVE_INFINITY;
  /** The valid permit. Each change of the state, and each trial, makes the next one. */
  #permit = 0;
  /** While open: when the circuit becomes half-open. While half-open: when the running trial counts as failed. */
  #until = 0;
  #hasTrial = false;
  /** How often the circuit has opened since it was last closed for longer than the window. */
  #openings = 0;
  #closedAt = Number.NEGATIVE_INFINITY;
  /** The calls and the failed calls in each bucket of the window, and their sums. */
  readonly #calls = new Array<number>(bucketCount).fill(0);
  readonly #failures = new Array<number>(bucketCount).fill(0);
  #bucket = Number.NEGATIVE_INFINITY;
  #callSum = 0;
  #failureSum = 0;

  /** `onChange` is called with the new state at each change. */
  constructor(policy: BreakerPolicy, onChange: (state: BreakerState) => void = () => {}) {
    this.#policy = policy;
    this.#onChange = onChange;
    this.#bucketMs = policy.windowMs / bucketCount;
  }

  /** Returns the state at `now`. */
  state(now: number): BreakerState {
    this.#advance(now);
    return this.#state;
  }

  /** Returns a permit for a call, which must be passed to `report` or `release` later; undefined if the call is rejected. */
  admit(now: number): number | undefined {
    this.#advance(now);
    if (this.#state === 'closed') return this.#permit;
    if (this.#state === 'open' || this.#hasTrial) return undefined;
    this.#hasTrial = true;
    this.#until = this.#now + this.#policy.slowCallMs;
    this.#permit += 1;
    return this.#permit;
  }

  /** Counts an admitted call that has finished, after `durationMs` milliseconds. */
  report(permit: number, isFailure: boolean, durationMs: number, now: number): void {
    this.#advance(now);
    if (permit !== this.#permit) return;
    const failed = isFailure || durationMs >= this.#policy.slowCallMs;
    if (this.#state === 'closed') {
      this.#count(failed);
      if (failed && this.#isLimitReached()) this.#open(this.#now);
    } else if (failed) {
      this.#open(this.#now);
    } else {
      this.#close();
    }
  }

  /** Ends an admitted call whose result shows nothing about the dependency, such as one that its caller cancelled. */
  release(permit: number, now: number): void {
    this.#advance(now);
    if (permit !== this.#permit || !this.#hasTrial) return;
    this.#hasTrial = false;
    this.#permit += 1;
  }

  /**
   * Returns the milliseconds until a rejected call may be admitted: the rest of the open time, or of the time that the running
   * trial has. 0 if a call would be admitted now.
   */
  retryAfterMs(now: number): number {
    this.#advance(now);
    return this.#state === 'open' || this.#hasTrial ? this.#until - this.#now : 0;
  }

  /** Makes the changes that time alone causes. */
  #advance(now: number): void {
    if (now > this.#now) this.#now = now;
    if (this.#state === 'half-open' && this.#hasTrial && this.#now >= this.#until) this.#open(this.#until);
    if (this.#state === 'open' && this.#now >= this.#until) this.#change('half-open');
    const isIdle = this.#state === 'half-open' && !this.#hasTrial;
    if (isIdle && this.#now >= this.#until + this.#policy.windowMs) this.#close();
  }

  #open(since: number): void {
    const { windowMs, openMs, maxOpenMs } = this.#policy;
    if (this.#state === 'closed' && since - this.#closedAt > windowMs) this.#openings = 0;
    this.#openings += 1;
    this.#until = since + exponentialDelay(this.#openings, { baseMs: openMs, maxMs: maxOpenMs });
    this.#change('open');
  }

  #close(): void {
    this.#closedAt = this.#now;
    this.#clear();
    this.#change('closed');
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#hasTrial = false;
    this.#permit += 1;
    this.#onChange(state);
  }

  #isLimitReached(): boolean {
    const { minCalls, minFailures, failureRate } = this.#policy;
    return (
      this.#callSum >= minCalls &&
      this.#failureSum >= minFailures &&
      this.#failureSum >= failureRate * this.#callSum
    );
  }

  #count(failed: boolean): void {
    const bucket = Math.floor(this.#now / this.#bucketMs);
    if (bucket !== this.#bucket) this.#dropOldBuckets(bucket);
    const index = indexOf(bucket);
    this.#calls[index] = (this.#calls[index] ?? 0) + 1;
    this.#callSum += 1;
    if (!failed) return;
    this.#failures[index] = (this.#failures[index] ?? 0) + 1;
    this.#failureSum += 1;
  }

  /** Makes `bucket` the newest one: those that leave the window no longer count. */
  #dropOldBuckets(bucket: number): void {
    if (bucket - this.#bucket >= bucketCount) this.#clear();
    else {
      for (let each = this.#bucket + 1; each <= bucket; each += 1) {
        const index = indexOf(each);
        this.#callSum -= this.#calls[index] ?? 0;
        this.#failureSum -= this.#failures[index] ?? 0;
        this.#calls[index] = 0;
        this.#failures[index] = 0;
      }
    }
    this.#bucket = bucket;
  }

  #clear(): void {
    this.#calls.fill(0);
    this.#failures.fill(0);
    this.#callSum = 0;
    this.#failureSum = 0;
  }
}

/** Returns the place of a bucket in the ring; its number may be negative. */
function indexOf(bucket: number): number {
  return ((bucket % bucketCount) + bucketCount) % bucketCount;
}
