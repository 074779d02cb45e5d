/**
 * The exact sliding window: "at most n requests in any window of w milliseconds", for one client and several windows at
 * once. It does not approximate with buckets: at no moment does the window hold more than n permits.
 *
 * How it works. The log holds the times of the granted permits, oldest first, at most as many as the largest n. A request
 * at `now` is allowed if, for each window, the n-th newest permit has left the window:
 *
 *     times:  ...  t[-4]  t[-3]  t[-2]  t[-1]          n = 3, window w
 *                         ^ allowed at `now` if t[-3] <= now - w
 *
 * So a decision costs one comparison per window, whatever n is. A rejected request is not logged: a client that keeps
 * trying is allowed again as soon as its oldest permit leaves the window.
 *
 * Permits can be reserved for a leaseholder that reports later how many it used, and when. Until then, reserved permits
 * count in every window, however much time passes:
 *
 *     reserve(8)  --  8 fewer for all others  --  release(8, 5, t)  --  5 permits at t; 3 are free again
 *
 * Invariants: times never decrease; the log holds at most `capacity` times, the largest n; a permit at t counts in
 * (now - w, now], so it is free again at exactly t + w; in each window, used and reserved permits are at most n together.
 *
 * Pure: `now` is a parameter, in whole milliseconds of any clock. A `now` that is smaller than the last one counts as the
 * last one.
 */

/** At most `quota` permits in any `windowMs` milliseconds. */
export interface Policy {
  readonly name: string;
  readonly quota: number;
  readonly windowMs: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** The policy with the fewest permits left; if rejected, the exceeded policy with the longest wait. */
  readonly policy: Policy;
  /** Permits left in that policy after this decision. */
  readonly remaining: number;
  /** Milliseconds until that policy has one more permit; 0 if no permit is in use. */
  readonly resetMs: number;
}

/** The permits of one client under one limit. */
export class SlidingLog {
  /** A ring buffer: the oldest permit is at `#head`. It grows up to its capacity. */
  #times: number[] = [];
  #head = 0;
  #reserved = 0;

  /** The number of reserved permits. */
  get reserved(): number {
    return this.#reserved;
  }

  /** The number of logged permits, including those that no longer count. */
  get size(): number {
    return this.#times.length;
  }

  /** The time of the newest permit, or -Infinity. */
  get last(): number {
    return this.size === 0 ? Number.NEGATIVE_INFINITY : this.#at(this.size - 1);
  }

  /** Takes one permit at `now` if every policy allows it. Returns the decision. */
  take(policies: readonly Policy[], now: number): Decision {
    const at = Math.max(now, this.last);
    let rejection: Decision | undefined;
    for (const policy of policies) {
      if (!this.#isFull(policy, at)) continue;
      const decision = this.#describe(policy, at, false);
      if (rejection === undefined || decision.resetMs > rejection.resetMs) rejection = decision;
    }
    if (rejection !== undefined) return rejection;
    this.#push(at, capacityOf(policies));
    let nearest: Decision | undefined;
    for (const policy of policies) {
      const decision = this.#describe(policy, at, true);
      if (nearest === undefined || decision.remaining < nearest.remaining) nearest = decision;
    }
    if (nearest === undefined) throw new RangeError('A limit needs at least one policy.');
    return nearest;
  }

  /** Reserves permits. Call it right after an allowed decision, with at most its `remaining` permits. */
  reserve(permits: number): void {
    this.#reserved += permits;
  }

  /** Ends a reservation of `permits`: `spent` of them were used, the last one at `lastAt`; the rest are free again. */
  release(policies: readonly Policy[], permits: number, spent: number, lastAt: number): void {
    this.#reserved -= permits;
    const at = Math.max(lastAt, this.last);
    const capacity = capacityOf(policies);
    for (let count = 0; count < spent; count += 1) this.#push(at, capacity);
  }

  #isFull({ quota, windowMs }: Policy, now: number): boolean {
    const open = quota - this.#reserved;
    return open <= 0 || (this.size >= open && this.#at(this.size - open) > now - windowMs);
  }

  #describe(policy: Policy, now: number, allowed: boolean): Decision {
    const first = this.#firstAfter(now - policy.windowMs);
    const used = this.size - first;
    // With several policies the log can hold more permits than this quota, but no more than the quota count.
    const remaining = Math.max(0, policy.quota - used - this.#reserved);
    const resetMs = used === 0 ? 0 : this.#at(first) + policy.windowMs - now;
    return { allowed, policy, remaining, resetMs };
  }

  /** Returns the index of the oldest permit after `time`, by binary search. */
  #firstAfter(time: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#at(middle) > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #at(index: number): number {
    const position = this.#head + index;
    const times = this.#times;
    return times[position < times.length ? position : position - times.length] ?? Number.NaN;
  }

  #push(time: number, capacity: number): void {
    const times = this.#times;
    if (times.length === 0) {
      // A literal with one element: the first `push` to an empty array allocates room for 17.
      this.#times = [time];
    } else if (times.length < capacity) {
      times.push(time);
    } else {
      // All policies allow the request, so the oldest permit counts in none of them.
      times[this.#head] = time;
      this.#head = this.#head + 1 === times.length ? 0 : this.#head + 1;
    }
  }
}

/** Returns the largest quota: at most this many permits can count. */
function capacityOf(policies: readonly Policy[]): number {
  let capacity = 0;
  for (const policy of policies) if (policy.quota > capacity) capacity = policy.quota;
  return capacity;
}

/** Returns the longest window in milliseconds: an older permit counts in no policy. */
export function maxWindowMs(policies: readonly Policy[]): number {
  return Math.max(...policies.map((policy) => policy.windowMs));
}
