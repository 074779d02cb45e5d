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
 * The part of a turn that rejections took does not count, because a lower limit would not make it shorter. It is estimated: a
 * rejection is taken to cost a tenth of admitted work. So a flood of rejections costs goodput, but never all of it.
 *
 *     wait over the target, for the second interval running    limit = min(limit, most used) * target / wait, at least 0.3 of it
 *       (or the longest wait of a queue behind the event loop, as that for a database connection, over its target)
 *     wait under the target, and the limit rejected work       limit + 15 %
 *     wait under the target, and the limit was not reached     limit * 1.2: after an overload it returns to the maximum
 *     memory is short                                          the limit is the minimum until it is not
 *
 * Work without priority may use 80 % of the limit. While more than 15 % of the work with priority are rejected nevertheless,
 * that part shrinks by a fifth in each interval, to a tenth of the limit; then it grows again. So work with priority is rejected
 * last, and work without it is never shut out (a login has no priority yet). Bursts reject a few per cent in any case; shrinking
 * for those would leave a part of the limit unused.
 *
 * One long turn (a garbage collection, one slow handler) changes nothing. The minimum keeps the work going, so that memory can
 * be collected and a changed load is noticed.
 *
 * Invariants: `minLimit <= limit <= maxLimit`; work is admitted only while less than the limit is used, and work
 * without priority while less than its part of the limit is used; `used` is never
 * negative; after any load the limit reaches the maximum again within `ln(max / min) / ln(1.2)` quiet intervals.
 */

export interface ConcurrencyPolicy {
  readonly minLimit: number;
  readonly maxLimit: number;
  /** The wait over which the event loop is overloaded, in milliseconds. */
  readonly targetMs: number;
  /** The wait in a queue behind the event loop over which the work is too much, in milliseconds. */
  readonly queueTargetMs: number;
}

export interface TurnFacts {
  readonly isMemoryShort?: boolean;
  readonly queueMs?: number;
}

const intervalMs = 100;
const growthWhenReached = 1.15;
const growthWhenQuiet = 1.2;
const maxDecrease = 0.3;
/** The part of the limit for work without priority. */
const maxShare = 0.8;
const minShare = 0.1;
const toleratedRejections = 0.15;
const shareDecrease = 0.8;
const shareIncrease = 0.02;
/** In relation to admitted work. */
const costOfRejection = 0.1;

export class ConcurrencyLimit {
  readonly #policy: ConcurrencyPolicy;
  #limit: number;
  #inProgress = 0;
  #finishedInTurn = 0;
  #isMemoryShort = false;

  #intervalStart = Number.NEGATIVE_INFINITY;
  #rejectedInTurn = 0;
  #squares = 0;
  #maxUsed = 0;
  #hasRejected = false;
  #priorityAdmitted = 0;
  #priorityRejected = 0;
  #share = maxShare;
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

  /** The part of the limit that work without priority may use. */
  get share(): number {
    return this.#share;
  }

  /** Admits one piece of work, unless its part of the limit is used. Release it once. */
  admit(hasPriority: boolean): boolean {
    const used = this.#inProgress + this.#finishedInTurn;
    if (used >= Math.max(1, Math.floor(hasPriority ? this.limit : this.limit * this.#share))) {
      this.#hasRejected = true;
      if (hasPriority) this.#priorityRejected += 1;
      this.#rejectedInTurn += 1;
      return false;
    }
    this.#inProgress += 1;
    if (hasPriority) this.#priorityAdmitted += 1;
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

  /**
   * Ends a turn of the event loop that was busy for `busyMs`. Call it for each turn with work. `queueMs` is how long the first in
   * the queue behind the event loop has waited; all times are in milliseconds.
   */
  endTurn(busyMs: number, now: number, { isMemoryShort = false, queueMs = 0 }: TurnFacts = {}): void {
    const used = this.#inProgress + this.#finishedInTurn;
    const workMs = used === 0 ? 0 : (busyMs * used) / (used + costOfRejection * this.#rejectedInTurn);
    this.#finishedInTurn = 0;
    this.#rejectedInTurn = 0;
    this.#isMemoryShort = isMemoryShort;
    this.#squares += workMs * workMs;
    const elapsedMs = now - this.#intervalStart;
    if (elapsedMs < intervalMs) return;
    this.#adapt(elapsedMs, queueMs);
    this.#intervalStart = now;
    this.#squares = 0;
    this.#maxUsed = this.#inProgress;
    this.#hasRejected = false;
    this.#priorityAdmitted = 0;
    this.#priorityRejected = 0;
  }

  #adapt(elapsedMs: number, queueMs: number): void {
    const { minLimit, maxLimit, targetMs, queueTargetMs } = this.#policy;
    this.#waitMs = this.#squares / elapsedMs;
    const excess = Math.max(this.#waitMs / targetMs, queueMs / queueTargetMs);
    const isOverloaded = excess > 1;
    if (!isOverloaded) {
      const growth = this.#hasRejected ? growthWhenReached : growthWhenQuiet;
      this.#limit = Math.min(maxLimit, Math.max(this.#limit + 1, this.#limit * growth));
    } else if (this.#wasOverloaded) {
      const factor = Math.max(maxDecrease, 1 / excess);
      this.#limit = Math.max(minLimit, Math.min(this.#limit, this.#maxUsed) * factor);
    }
    this.#wasOverloaded = isOverloaded;
    const priority = this.#priorityAdmitted + this.#priorityRejected;
    this.#share =
      this.#priorityRejected > priority * toleratedRejections
        ? Math.max(minShare, this.#share * shareDecrease)
        : Math.min(maxShare, this.#share + shareIncrease);
  }
}
