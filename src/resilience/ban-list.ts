/**
 * Decides which clients are banned, and until when. A client is banned after a number of offences within a window, and each
 * further ban is longer than the one before:
 *
 *                 enough offences within `windowMs`
 *     free      ---------------------------------------> banned for firstMs * growth ^ (n - 1), at most maxMs
 *     (n bans)  <---------------------------------------
 *                 the time is over; or lifted, which sets n to 0
 *
 *     n counts the bans of the client, and is 0 again when `forgetMs` have passed since the end of its last one.
 *
 * There are two kinds of offences: a request over a rate limit, and a failed authentication. Of the latter only different
 * credentials count (by a digest of each), so a program that repeats one expired password is one
 * offence, however often it tries.
 *
 * A window begins with the first offence of a client and lasts `windowMs`; the next offence after it begins another. This
 * needs one counter per client instead of the time of each offence, and gives two bounds, with a threshold t:
 *
 *     fewer than t offences in every period of `windowMs`     never a ban
 *     2t - 1 offences in some period of `windowMs`            always a ban
 *
 * Invariants:
 * - While a client is banned, its offences change nothing: a ban is not extended by requests that it refuses.
 * - A ban by hand replaces any other. It has its own time, and does not count in n.
 * - Memory is bounded. With more than `maxOffenders` clients, offences are forgotten for those that offended least recently;
 *   with more than `maxBans` bans, the oldest one that is not by hand ends early. So a million hostile addresses can neither
 *   exhaust the memory nor end a ban by hand.
 *
 * Pure: `now` is a parameter, in milliseconds of any monotonic clock.
 */

import { RecentMap } from './recent-map.ts';

export interface BanPolicy {
  /** Requests over a rate limit within the window that start a ban; 0: they never do. */
  readonly violations: number;
  /** Failed authentications with different credentials within the window that start a ban; 0: they never do. */
  readonly failures: number;
  readonly windowMs: number;
  /** The duration of the first ban. */
  readonly firstMs: number;
  /** The factor by which each further ban is longer. */
  readonly growth: number;
  readonly maxMs: number;
  /** The time after the end of a ban until it no longer makes the next one longer. */
  readonly forgetMs: number;
}

export const banReasons = ['rate_limit', 'authentication', 'manual'] as const;
export type BanReason = (typeof banReasons)[number];

export interface Ban {
  /** Increases with each ban of this list. */
  readonly id: number;
  readonly client: string;
  readonly reason: BanReason;
  /** The number of bans of this client, with this one; a ban by hand does not count. */
  readonly nth: number;
  /** The reason in the words of an operator; empty for any other ban. */
  readonly note: string;
  readonly startedAt: number;
  readonly until: number;
}

/** The offences of one client since the last report. */
export interface Offences {
  /** The number of requests over a rate limit. */
  readonly violations: number;
  /** A digest of each credential that failed. */
  readonly failures: readonly number[];
}

export interface BanListParts {
  readonly policy: BanPolicy;
  readonly bounds: BanListBounds;
  /** Returns whether a client is never banned. Called when a ban would start; by default all clients can be banned. */
  readonly isExempt?: (client: string) => boolean;
  /** Called with each ban that ends early because there are too many. */
  readonly onEvicted?: (ban: Ban) => void;
}

export interface BanListBounds {
  readonly maxOffenders: number;
  readonly maxBans: number;
  /** The maximum number of bans by hand. */
  readonly maxManual: number;
}

interface Window {
  startedAt: number;
  violations: number;
  readonly failures: number[];
}

interface History {
  readonly nth: number;
  readonly forgetAt: number;
}

/** The maximum number of failed credentials that are remembered across all clients, in one generation. */
const maxFailures = 500_000;

/** An iterator is renewed after so many steps, because an old one keeps the outgrown tables of the map in memory. */
const renewalSteps = 10_000;

export class BanList {
  policy: BanPolicy;
  isExempt: (client: string) => boolean;
  readonly #bounds: BanListBounds;
  readonly #onEvicted: (ban: Ban) => void;
  readonly #windows: RecentMap<Window>;
  readonly #histories: RecentMap<History>;
  /** In the order of their start. */
  readonly #bans = new Map<string, Ban>();
  /** Goes through the bans in their order, for evictions: a new iterator would skip all slots of deleted entries each time. */
  #order = this.#bans.values();
  #steps = 0;
  #manual = 0;
  #failures = 0;
  #rotatedAt = 0;
  #lastId = 0;
  #nextEnd = Number.POSITIVE_INFINITY;

  constructor({ policy, bounds, isExempt = () => false, onEvicted = () => {} }: BanListParts) {
    this.policy = policy;
    this.isExempt = isExempt;
    this.#bounds = bounds;
    this.#onEvicted = onEvicted;
    this.#windows = new RecentMap(bounds.maxOffenders);
    this.#histories = new RecentMap(2 * bounds.maxBans);
  }

  /** The number of bans, with those that have ended since the last `expire`. */
  get size(): number {
    return this.#bans.size;
  }

  /** Counts offences. Returns the ban that they start, if any. */
  offend(client: string, offences: Offences, now: number): Ban | undefined {
    if (this.find(client, now) !== undefined) return undefined;
    const reason = this.#count(client, offences, now);
    if (reason === undefined) return undefined;
    if (this.isExempt(client)) {
      this.#windows.delete(client);
      return undefined;
    }
    const { firstMs, growth, maxMs } = this.policy;
    const nth = this.#pastBans(client, now) + 1;
    const until = now + Math.min(firstMs * growth ** (nth - 1), maxMs);
    return this.#start({ client, reason, nth, note: '', startedAt: now, until });
  }

  /** Bans a client by hand. Returns undefined if there are too many such bans. */
  ban(client: string, ms: number, note: string, now: number): Ban | undefined {
    const isReplaced = this.#bans.get(client)?.reason === 'manual';
    if (this.#manual >= this.#bounds.maxManual && !isReplaced) return undefined;
    const nth = this.#pastBans(client, now);
    return this.#start({ client, reason: 'manual', nth, note, startedAt: now, until: now + ms });
  }

  /**
   * Takes over a ban that another list has started. Returns undefined for one that has ended, which only makes the next one
   * longer.
   */
  adopt(ban: Omit<Ban, 'id'>, now: number): Ban | undefined {
    if (ban.until > now) return this.#start(ban);
    this.#remember(ban);
    return undefined;
  }

  /** Ends the ban of a client, and forgets its offences and earlier bans. Returns the ban, if there was one. */
  lift(client: string, now: number): Ban | undefined {
    const ban = this.find(client, now);
    this.#remove(client);
    this.#windows.delete(client);
    this.#histories.delete(client);
    return ban;
  }

  /** Returns the ban of a client; undefined if it has none, or if it has ended. */
  find(client: string, now: number): Ban | undefined {
    const ban = this.#bans.get(client);
    return ban !== undefined && ban.until > now ? ban : undefined;
  }

  /** Removes the bans that have ended, and returns them. */
  expire(now: number): Ban[] {
    if (now < this.#nextEnd) return [];
    const ended: Ban[] = [];
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const ban of this.#bans.values()) {
      if (ban.until <= now) ended.push(ban);
      else this.#nextEnd = Math.min(this.#nextEnd, ban.until);
    }
    for (const { client } of ended) this.#remove(client);
    return ended;
  }

  /** Returns all bans in the order of their start, also those that have ended since the last `expire`. */
  all(): Iterable<Ban> {
    return this.#bans.values();
  }

  /** Adds offences to the window of the client. Returns the reason for a ban if there are enough of a kind. */
  #count(client: string, { violations, failures }: Offences, now: number): BanReason | undefined {
    const { policy } = this;
    this.#forgetOldWindows(now);
    let window = this.#windows.get(client);
    if (window === undefined || now - window.startedAt >= policy.windowMs) {
      window = { startedAt: now, violations: 0, failures: [] };
      this.#windows.set(client, window);
    }
    if (policy.failures > 0) {
      for (const failure of failures) {
        if (window.failures.includes(failure)) continue;
        window.failures.push(failure);
        this.#failures += 1;
        if (window.failures.length >= policy.failures) return 'authentication';
      }
    }
    window.violations += violations;
    return policy.violations > 0 && window.violations >= policy.violations ? 'rate_limit' : undefined;
  }

  /** Drops windows that are over, at the latest after twice their time. */
  #forgetOldWindows(now: number): void {
    if (now - this.#rotatedAt < this.policy.windowMs && this.#failures < maxFailures) return;
    this.#windows.rotate();
    this.#rotatedAt = now;
    this.#failures = 0;
  }

  #pastBans(client: string, now: number): number {
    const history = this.#histories.get(client);
    return history !== undefined && now < history.forgetAt ? history.nth : 0;
  }

  #start(started: Omit<Ban, 'id'>): Ban {
    this.#lastId += 1;
    const ban = { id: this.#lastId, ...started };
    const { client, until } = ban;
    this.#windows.delete(client);
    this.#remove(client);
    this.#bans.set(client, ban);
    if (ban.reason === 'manual') this.#manual += 1;
    this.#remember(ban);
    this.#nextEnd = Math.min(this.#nextEnd, until);
    if (this.#bans.size > this.#bounds.maxBans + this.#manual) this.#evict();
    return ban;
  }

  #remember({ client, nth, until }: Omit<Ban, 'id'>): void {
    if (nth > 0) this.#histories.set(client, { nth, forgetAt: until + this.policy.forgetMs });
  }

  /** Ends the oldest ban that is not by hand. */
  #evict(): void {
    for (let renewals = 0; renewals < 2; ) {
      this.#steps += 1;
      const ban = this.#steps > renewalSteps ? undefined : this.#order.next().value;
      if (ban === undefined) {
        this.#order = this.#bans.values();
        this.#steps = 0;
        renewals += 1;
      } else if (ban.reason !== 'manual') {
        this.#remove(ban.client);
        this.#onEvicted(ban);
        return;
      }
    }
  }

  #remove(client: string): void {
    if (this.#bans.get(client)?.reason === 'manual') this.#manual -= 1;
    this.#bans.delete(client);
  }
}
