/**
 * The exact sliding window: "at most n in any window of w milliseconds", for one client and several windows at
 * once. Not an approximation by buckets: there is no moment at which more than n fall into the last w.
 *
 * How it works. The log holds the times of the permits given, oldest first, and never more of them than the
 * largest n. A request at `now` is allowed if, for each window, the n-th youngest permit has left it:
 *
 *     times:  ...  t[-4]  t[-3]  t[-2]  t[-1]          n = 3, window w
 *                         ^ allowed at `now` if t[-3] <= now - w
 *
 * so a decision costs one look per window, whatever n is. A refused request is not logged: a client that keeps
 * knocking is let in as soon as its oldest permit leaves the window.
 *
 * Permits can be set aside for somebody who will say later how many he gave out, and when. Until he does, they count
 * in every window, however much time goes by:
 *
 *     reserve(8)  --  8 fewer for everybody else  --  settle(8, 5, t)  --  5 permits at t; 3 are free again
 *
 * Invariants: times never fall; at most `capacity` of them, the largest n; a permit at t counts in (now - w, now],
 * so it is free again at exactly t + w; in each window, permits and those set aside together are at most n.
 *
 * Pure: the clock is handed in. Times are whole milliseconds of any clock that does not run backwards (a
 * smaller `now` than the last one counts as the last one).
 */

/** At most `quota` permits in any `windowMs` milliseconds. */
export interface Policy {
  readonly name: string;
  readonly quota: number;
  readonly windowMs: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** The policy that is nearest to its end; of those that refuse, the one that will do so for longest. */
  readonly policy: Policy;
  /** Permits left in that policy after this decision. */
  readonly remaining: number;
  /** Milliseconds until that policy has one permit more than now; 0 if all are there. */
  readonly resetMs: number;
}

/** The permits of one client. */
export class SlidingLog {
  /** A ring: the oldest permit is at `#head`. It grows up to the capacity it is given. */
  #times: number[] = [];
  #head = 0;
  #reserved = 0;

  /** How many permits are set aside. */
  get reserved(): number {
    return this.#reserved;
  }

  /** How many permits are kept, whether they still count or not. */
  get size(): number {
    return this.#times.length;
  }

  /** The time of the youngest permit, or -Infinity. */
  get last(): number {
    return this.size === 0 ? Number.NEGATIVE_INFINITY : this.#at(this.size - 1);
  }

  /** Asks for one permit at `now`, and takes it if every policy allows. */
  take(policies: readonly Policy[], now: number): Decision {
    const at = Math.max(now, this.last);
    let refusal: Decision | undefined;
    for (const policy of policies) {
      if (!this.#isFull(policy, at)) continue;
      const decision = this.#describe(policy, at, false);
      if (refusal === undefined || decision.resetMs > refusal.resetMs) refusal = decision;
    }
    if (refusal !== undefined) return refusal;
    this.#push(at, capacityOf(policies));
    let nearest: Decision | undefined;
    for (const policy of policies) {
      const decision = this.#describe(policy, at, true);
      if (nearest === undefined || decision.remaining < nearest.remaining) nearest = decision;
    }
    if (nearest === undefined) throw new RangeError('A limit needs at least one policy.');
    return nearest;
  }

  /** Sets permits aside: no more than the `remaining` of the last decision, which allowed, and at its moment. */
  reserve(permits: number): void {
    this.#reserved += permits;
  }

  /** Ends the setting aside of `permits`, of which `spent` were given out, the last of them at `lastAt`. */
  settle(policies: readonly Policy[], permits: number, spent: number, lastAt: number): void {
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
    // With several quotas the log can hold more than this one allows, never more that count.
    const remaining = Math.max(0, policy.quota - used - this.#reserved);
    const resetMs = used === 0 ? 0 : this.#at(first) + policy.windowMs - now;
    return { allowed, policy, remaining, resetMs };
  }

  /** The index of the oldest permit younger than `time`, by binary search. */
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
      // Made with its one element: an array that is pushed to starts with room for 17.
      this.#times = [time];
    } else if (times.length < capacity) {
      times.push(time);
    } else {
      // All policies allow, so the oldest permit counts in none of them.
      times[this.#head] = time;
      this.#head = this.#head + 1 === times.length ? 0 : this.#head + 1;
    }
  }
}

/** The largest quota: as many permits as can ever count. */
function capacityOf(policies: readonly Policy[]): number {
  let capacity = 0;
  for (const policy of policies) if (policy.quota > capacity) capacity = policy.quota;
  return capacity;
}

/** The longest window: a permit older than that counts nowhere. */
export function maxWindowMs(policies: readonly Policy[]): number {
  return Math.max(...policies.map((policy) => policy.windowMs));
}
