/**
 * A cache of checked credentials. A request with a cached credential costs one map look-up. For any other credential the
 * database is asked once, and concurrent requests with the same credential share that look-up.
 *
 *               first request                found, and no `forget` in the meantime
 *     unknown ---------------> looking up -----------------------------------------------> known
 *        ^                         |                                                         |
 *        +---- rejected, failed, or `forget` ----------+---- too old, expired, `forget`, or evicted ----+
 *
 * Guarantees:
 * - A request at time t gets the result of a look-up that began after t - `recheckMs`. A credential revoked before that time
 *   is rejected, in whichever process it was revoked.
 * - `getNow` returns the result of a look-up that began after the call.
 * - After `forget`, a request gets the result of a look-up that began after it. A look-up in progress is still used for the
 *   requests that were already waiting, but its result is not cached.
 * - A credential is never valid after its own expiry.
 * - Rejections are not cached: an attacker cannot fill the memory, and a new key is valid immediately.
 * - At most `maxEntries` are cached; the entry with the oldest look-up is evicted first. A credential in use is looked up
 *   again every `recheckMs`, so the evicted ones are unused. Eviction costs a look-up and never changes a result.
 * - After the clock is set back, entries with a time in the future are ignored.
 *
 * Times are milliseconds since 1970.
 */

/** The result of a look-up: the principal of the credential, and when the credential itself expires. */
export interface LoadedCredential<Principal> {
  readonly principal: Principal;
  readonly endsAt: number;
}

export interface CredentialCache<Principal> {
  /**
   * Returns the principal of the credential, synchronously if it is cached. Throws or rejects with the error of the look-up.
   */
  get(credential: string): Principal | Promise<Principal>;
  /** Whether the credential is cached, though its result may have to be loaded again. */
  has(credential: string): boolean;
  /**
   * Looks up the credential without using the cache. Rejects with the error of the look-up. The result is cached like any
   * other, and a rejected credential is removed from the cache.
   */
  getNow(credential: string): Promise<Principal>;
  /** Removes every credential of the matching principals from the cache. */
  forget(matches: (principal: Principal) => boolean): void;
}

export interface CredentialCacheOptions<Principal> {
  /**
   * Loads the principal of a credential at this time. Rejects if the credential is not valid, or throws if that can be seen
   * without waiting, so that a flood of bad credentials creates no promises.
   */
  lookUp(credential: string, time: number): Promise<LoadedCredential<Principal>>;
  /** How long a result is cached, from the start of its look-up, in milliseconds. With 0, every request looks up. */
  readonly recheckMs: number;
  readonly maxEntries: number;
  now(): number;
  /** Whether the error means that the credential is not valid, rather than that the look-up failed. */
  isInvalid(error: unknown): boolean;
}

interface Known<Principal> {
  readonly principal: Principal;
  readonly from: number;
  readonly until: number;
}

interface LookUp<Principal> {
  readonly from: number;
  readonly until: number;
  readonly answer: Promise<LoadedCredential<Principal>>;
}

export function createCredentialCache<Principal>(
  options: CredentialCacheOptions<Principal>,
): CredentialCache<Principal> {
  const { recheckMs, maxEntries, now } = options;
  // In the order of insertion, so that the oldest entry is first.
  const known = new Map<string, Known<Principal>>();
  const lookUps = new Map<string, LookUp<Principal>>();

  return {
    get(credential) {
      const time = now();
      const entry = known.get(credential);
      if (entry !== undefined && covers(entry, time)) return entry.principal;
      const pending = lookUps.get(credential);
      if (pending !== undefined && covers(pending, time)) return join(pending, credential, time);
      return lookUp(credential, time);
    },

    has: (credential) => known.has(credential),

    async getNow(credential) {
      try {
        return await lookUp(credential, now());
      } catch (error) {
        if (options.isInvalid(error)) known.delete(credential);
        throw error;
      }
    },

    forget(matches) {
      for (const [credential, { principal }] of known) if (matches(principal)) known.delete(credential);
      // The principals of look-ups in progress are not known yet, so all of them are dropped.
      lookUps.clear();
    },
  };

  /** Waits for a look-up in progress. Looks up again if the credential that it found has expired by the time of this request. */
  async function join({ answer }: LookUp<Principal>, credential: string, time: number): Promise<Principal> {
    const { principal, endsAt } = await answer;
    return time < endsAt ? principal : lookUp(credential, time);
  }

  function lookUp(credential: string, from: number): Promise<Principal> {
    const isWanted = () => lookUps.get(credential)?.answer === answer;
    const answer = options
      .lookUp(credential, from)
      .then((found) => {
        const until = Math.min(from + recheckMs, found.endsAt);
        if (isWanted() && until > from) remember(credential, { principal: found.principal, from, until });
        return found;
      })
      .finally(() => {
        if (isWanted()) lookUps.delete(credential);
      });
    lookUps.set(credential, { from, until: from + recheckMs, answer });
    return answer.then(({ principal }) => principal);
  }

  function remember(credential: string, entry: Known<Principal>): void {
    known.delete(credential);
    known.set(credential, entry);
    for (const [oldest, { until }] of known) {
      if (known.size <= maxEntries && until > entry.from) break;
      known.delete(oldest);
    }
  }
}

function covers({ from, until }: { readonly from: number; readonly until: number }, time: number): boolean {
  return from <= time && time < until;
}
