/**
 * An adaptive limit of the work that one event loop does at a time. An overloaded event loop is recognised by its turns: a
 * request that arrives in a turn waits until the turn ends, so long turns are long queues, which nothing else shows.
 *
 *     work admitted ──> in progress ──released──> finished in this turn ──`endTurn`──> free
 *                       '-------------- used <= limit ---------------'
 *
 * Work that was finished counts until its turn ends. So the limit bounds the work of a turn also if each piece of work is done
 * at once, without waiting for anything; a plain count of the work in progress would always be 0 or 1 then.
 *
 * After `intervalMs` the limit is adapted to the wait: the length of the turn that a request meets when it arrives, on average
 * over the interval. A long turn meets more requests, and an idle time none: the sum of the squares, divided by the interval.
 *
 *     wait over the target, for the second interval running    limit = min(limit, most used) * target / wait, at least a tenth of it
 *     wait under the target, and the limit rejected work       limit + 5 %
 *     wait under the target, and the limit was not reached     limit * 1.2: after an overload it returns to the maximum
 *     memory is short                                          the limit is the minimum until it is not
 *
 * One long turn (a garbage collection, one slow handler) changes nothing. The minimum keeps the work going, so that memory can
 * be collected and a changed load is noticed.
 *
 * Invariants: `minLimit <= limit <= maxLimit`; work is admitted only while less than `limit * share` is used; `used` is never
 * negative; after any load the limit reaches the maximum again within `ln(max / min) / ln(1.2)` quiet intervals.
 */

export interface ConcurrencyPolicy {
  readonly minLimit: number;
  readonly maxLimit: number;
  /** The wait over which the event loop is overloaded, in milliseconds. */
  readonly targetMs: number;
}

const intervalMs = 100;
const growthWhenReached = 1.05;
const growthWhenQuiet = 1.2;
const maxDecrease = 0.1;

export class ConcurrencyLimit {
  readonly #policy: ConcurrencyPolicy;
  #limit: number;
  #inProgress = 0;
  #finishedInTurn = 0;
  #isMemoryShort = false;

  #intervalStart = Number.NEGATIVE_INFINITY;
  #squares = 0;
  #maxUsed = 0;
  #hasRejected = false;
  #wasOverloaded = false;
  #waitMs = 0;

  constructor(policy: ConcurrencyPolicy) {
    this.#policy = policy;
    this.#limit = policy.maxLimit;
  }

  /** How much work may be used at the moment. */
  get limit(): number {
    return this.#isMemoryShort ? this.#policy.minLimit : this.#limit;
  }

  /** The work that was admitted and not released. */
  get inProgress(): number {
    return this.#inProgress;
  }

  /** Whether the limit is the minimum because memory is short. */
  get isMemoryShort(): boolean {
    return this.#isMemoryShort;
  }

  /** The wait of the last interval, in milliseconds. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** Admits one piece of work, unless `share` of the limit is used. Release it once. */
  admit(share = 1): boolean {
    const used = this.#inProgress + this.#finishedInTurn;
    if (used >= Math.max(1, Math.floor(this.limit * share))) {
      this.#hasRejected = true;
      return false;
    }
    this.#inProgress += 1;
    if (used + 1 > this.#maxUsed) this.#maxUsed = used + 1;
    return true;
  }

  release(): void {
    this.#inProgress -= 1;
    this.#finishedInTurn += 1;
  }

  /** Counts work again that was released, without asking the limit: it was admitted already. */
  resume(): void {
    this.#inProgress += 1;
    this.#maxUsed = Math.max(this.#maxUsed, this.#inProgress + this.#finishedInTurn);
  }

  /** Ends a turn of the event loop that was busy for `busyMs`. Call it for each turn with work. `now` is in milliseconds. */
  endTurn(busyMs: number, now: number, isMemoryShort: boolean): void {
    this.#finishedInTurn = 0;
    this.#isMemoryShort = isMemoryShort;
    this.#squares += busyMs * busyMs;
    const elapsedMs = now - this.#intervalStart;
    if (elapsedMs < intervalMs) return;
    this.#adapt(elapsedMs);
    this.#intervalStart = now;
    this.#squares = 0;
    this.#maxUsed = this.#inProgress;
    this.#hasRejected = false;
  }

  #adapt(elapsedMs: number): void {
    const { minLimit, maxLimit, targetMs } = this.#policy;
    this.#waitMs = this.#squares / elapsedMs;
    const isOverloaded = this.#waitMs > targetMs;
    if (!isOverloaded) {
      const growth = this.#hasRejected ? growthWhenReached : growthWhenQuiet;
      this.#limit = Math.min(maxLimit, Math.max(this.#limit + 1, this.#limit * growth));
    } else if (this.#wasOverloaded) {
      const factor = Math.max(maxDecrease, targetMs / this.#waitMs);
      this.#limit = Math.max(minLimit, Math.min(this.#limit, this.#maxUsed) * factor);
    }
    this.#wasOverloaded = isOverloaded;
  }
}
