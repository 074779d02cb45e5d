/**
 * Credentials that were checked a moment ago. A request with one of them costs a look-up in a map; every other one asks
 * the database, and those that ask for the same credential at the same time ask together.
 *
 *                 asked for               answered, and nothing was forgotten meanwhile
 *     unknown ---------------> looked up ------------------------------------------------> known
 *        ^                         |                                                         |
 *        +---- refused, failed, or forgotten meanwhile ----+---- too old, expired, forgotten, pushed out ----+
 *
 * What holds:
 * - Who asks at a time t gets what a look-up said that began after t - `recheckMs`. A credential that was revoked before
 *   that is refused, whoever revoked it, in whatever process.
 * - `getNow` answers with a look-up that began after it was called.
 * - After a `forget`, who asks gets what a look-up said that began after it. One that is under way still answers those
 *   who asked before, and nobody else: its answer is not remembered.
 * - Nothing is served after the credential's own end.
 * - What was refused is not remembered: an attacker fills no memory, and a key that is made is in force at once.
 * - At most `maxEntries` are known; the one whose look-up is longest ago goes first. One in use is looked up again every
 *   `recheckMs`, so those are the ones that nobody uses. To have gone costs a look-up, and never changes an answer.
 * - A clock that is set back makes entries from the future, which are not believed.
 *
 * Times are milliseconds since 1970.
 */

/** What a look-up found: whom the credential stands for, and until when it can at all. */
export interface Found<Principal> {
  readonly principal: Principal;
  readonly endsAt: number;
}

export interface CredentialCache<Principal> {
  /** Whom the credential stands for; without a promise if it is known. Rejects with what the look-up rejects with. */
  get(credential: string): Principal | Promise<Principal>;
  /**
   * Looks the credential up, whatever is known of it. Rejects with what the look-up rejects with. The result is
   * remembered like any other, and a look-up that finds the credential refused makes it unknown.
   */
  getNow(credential: string): Promise<Principal>;
  /** Makes every credential of these principals unknown. */
  forget(isMeant: (principal: Principal) => boolean): void;
}

export interface CredentialCacheOptions<Principal> {
  /** Asks who stands behind a credential at this time. Rejects if nobody does. */
  lookUp(credential: string, time: number): Promise<Found<Principal>>;
  /** How long an answer is believed, counted from the start of its look-up. With 0, every request asks for itself. */
  readonly recheckMs: number;
  readonly maxEntries: number;
  now(): number;
  /** Whether an error of a look-up says that the credential is refused, and not only that the look-up failed. */
  isRefusal(error: unknown): boolean;
}

interface Known<Principal> {
  readonly principal: Principal;
  readonly from: number;
  readonly until: number;
}

interface LookUp<Principal> {
  readonly from: number;
  readonly until: number;
  readonly answer: Promise<Found<Principal>>;
}

export function createCredentialCache<Principal>(
  options: CredentialCacheOptions<Principal>,
): CredentialCache<Principal> {
  const { recheckMs, maxEntries, now } = options;
  // In the order in which they became known, so that the oldest stands first.
  const known = new Map<string, Known<Principal>>();
  const lookUps = new Map<string, LookUp<Principal>>();

  return {
    get(credential) {
      const time = now();
      const entry = known.get(credential);
      if (entry !== undefined && covers(entry, time)) return entry.principal;
      const underWay = lookUps.get(credential);
      if (underWay !== undefined && covers(underWay, time)) return join(underWay, credential, time);
      return lookUp(credential, time);
    },

    async getNow(credential) {
      try {
        return await lookUp(credential, now());
      } catch (error) {
        if (options.isRefusal(error)) known.delete(credential);
        throw error;
      }
    },

    forget(isMeant) {
      for (const [credential, { principal }] of known) if (isMeant(principal)) known.delete(credential);
      // Whom those under way are for is not known yet.
      lookUps.clear();
    },
  };

  /** Waits for what others wait for already, unless that is good only for those who asked before its end. */
  async function join({ answer }: LookUp<Principal>, credential: string, time: number): Promise<Principal> {
    const { principal, endsAt } = await answer;
    return time < endsAt ? principal : lookUp(credential, time);
  }

  async function lookUp(credential: string, from: number): Promise<Principal> {
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
    return (await answer).principal;
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
