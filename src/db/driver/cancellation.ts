/**
 * Cancels a query in PostgreSQL, so that its connection is soon free and no other query is hit.
 *
 * A cancel request uses a connection of its own and names a backend, not a query. It has no effect when it arrives
 * before the backend has started the query. When it arrives after the backend has started the next query, it cancels
 * that one. Therefore:
 *
 *     request ends ──> cancel ──closed──> query over? ──no──> wait (20 ms, doubled up to 300 ms) ──> cancel again
 *                        │                    └─yes──> no cancel request pending ──> reset ──> connection is free
 *                        └─ open for 2 s ──> it may still arrive at any time ──> the connection is given up
 *
 * PostgreSQL closes the connection of a cancel request after it has signalled the backend, and a backend that waits for
 * a command ignores the signal. A pooler or a proxy may close that connection earlier, so the reset sends one more
 * statement, and repeats it if it is cancelled.
 *
 * Invariants: a connection is released only when no cancel request for it is pending, and each request is sent while
 * its query is unsettled. A query whose connection is still being opened needs no cancellation: it is not sent
 * (`query-watch.ts`).
 */

import { createInterruptibleSleep } from '../../concurrency/interruptible-sleep.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Backoff, exponentialDelay } from '../../resilience/retry.ts';
import type { DriverQuery } from './driver-query.ts';
import type { PoolConnection } from './pool-connection.ts';

const pauses: Backoff = { baseMs: 20, maxMs: 300 };
/** A cancel request that takes longer may still arrive at any time. */
const requestTimeoutMs = 2_000;

export class Cancellation {
  readonly #query: DriverQuery;
  readonly #connection: PoolConnection;
  readonly #log: Logger;
  readonly #sleep = createInterruptibleSleep();
  readonly #asked: Promise<void>;
  #isOver = false;
  #isDoubtful = false;

  /** Starts to send cancel requests. */
  constructor(query: DriverQuery, connection: PoolConnection, log: Logger) {
    this.#query = query;
    this.#connection = connection;
    this.#log = log;
    this.#asked = this.#ask();
  }

  /**
   * Call it when the query is over. Resolves when no cancel request is pending. Gives the connection up if a request
   * may still hit it.
   */
  async finish(): Promise<void> {
    this.#isOver = true;
    this.#sleep.wake();
    await this.#asked;
    if (this.#isDoubtful) this.#connection.discard();
  }

  async #ask(): Promise<void> {
    for (let attempt = 1; !this.#isOver; attempt += 1) {
      const isClosed = await this.#request();
      if (!isClosed) this.#isDoubtful = true;
      if (!this.#isOver) await this.#sleep.for(exponentialDelay(attempt, pauses));
    }
  }

  /** Resolves with whether the connection of the cancel request has closed. */
  #request(): Promise<boolean> {
    const closed = this.#connection.cancel(this.#query).then(
      () => true,
      (error: unknown) => {
        this.#log.debug('database.cancel_failed', { error });
        return true;
      },
    );
    return withTimeout(closed, requestTimeoutMs, () => false);
  }
}
