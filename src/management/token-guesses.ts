/**
 * Wrong tokens by the address that sent them. After a few of them the address has to wait, twice as long after each
 * further one, and no token from it is looked at meanwhile, not even the right one: otherwise guessing would go on
 * unhindered. A right token clears the address, and so does a quarter of an hour without a wrong one.
 */

export interface TokenGuesses {
  /** Milliseconds until a token from this client is looked at again; 0 for now. */
  wait(client: string): number;
  /** Notes a wrong token; returns the milliseconds that the client has to wait. */
  wrong(client: string): number;
  right(client: string): void;
}

interface ClientRecord {
  count: number;
  lastAt: number;
  waitUntil: number;
}

/** So many may be wrong without a wait, for somebody who mistypes. */
const free = 5;
const firstWaitMs = 1_000;
const maxWaitMs = 60_000;
const forgottenAfterMs = 15 * 60_000;
/** Beyond these, the client that was wrong longest ago is forgotten: the memory is bounded. */
const maxClients = 10_000;

/** `now` is a clock in milliseconds that does not run backwards. */
export function createTokenGuesses(now: () => number): TokenGuesses {
  // In the order of their last wrong token.
  const records = new Map<string, ClientRecord>();

  function find(client: string): ClientRecord | undefined {
    const record = records.get(client);
    if (record === undefined || now() - record.lastAt < forgottenAfterMs) return record;
    records.delete(client);
    return undefined;
  }

  return {
    wait: (client) => Math.max(0, (find(client)?.waitUntil ?? 0) - now()),
    wrong(client) {
      const time = now();
      const count = (find(client)?.count ?? 0) + 1;
      const waitMs = count <= free ? 0 : Math.min(maxWaitMs, firstWaitMs * 2 ** (count - free - 1));
      records.delete(client);
      records.set(client, { count, lastAt: time, waitUntil: time + waitMs });
      const [oldest] = records.keys();
      if (records.size > maxClients && oldest !== undefined) records.delete(oldest);
      return waitMs;
    },
    right: (client) => void records.delete(client),
  };
}
