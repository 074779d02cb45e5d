/**
 * Counts wrong tokens per client address. After a few of them the address has to wait, twice as long after each further one.
 * Meanwhile no token from it is checked, not even the right one, since that would allow guessing without a delay. A right
 * token clears the count, and so do 15 minutes without a wrong one.
 */

import { type Backoff, exponentialDelay } from '../resilience/retry.ts';

export interface TokenGuesses {
  /** Returns the milliseconds until a token from this client is checked again; 0 for now. */
  wait(client: string): number;
  /** Records a wrong token, and returns the milliseconds that the client has to wait. */
  wrong(client: string): number;
  /** Clears the count of the client. */
  right(client: string): void;
}

interface ClientRecord {
  count: number;
  lastAt: number;
  waitUntil: number;
}

/** The number of wrong tokens without a wait, to allow for typing errors. */
const freeAttempts = 5;
const delays: Backoff = { baseMs: 1_000, maxMs: 60_000 };
const forgottenAfterMs = 15 * 60_000;
/** Beyond this number, the client whose wrong token is oldest is forgotten, so that memory is bounded. */
const maxClients = 10_000;

/** `now` is a monotonic clock in milliseconds. */
export function createTokenGuesses(now: () => number): TokenGuesses {
  // Ordered by the time of the last wrong token.
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
      const waitMs = count <= freeAttempts ? 0 : exponentialDelay(count - freeAttempts, delays);
      records.delete(client);
      records.set(client, { count, lastAt: time, waitUntil: time + waitMs });
      const [oldest] = records.keys();
      if (records.size > maxClients && oldest !== undefined) records.delete(oldest);
      return waitMs;
    },
    right: (client) => void records.delete(client),
  };
}
