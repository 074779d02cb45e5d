/**
 * Cancels a query in PostgreSQL, so that its connection is free soon and no other query is hit.
 *
 * A cancel request travels on a connection of its own and names a backend, not a query. It can come too early, before the
 * backend has begun the query, and then it has no effect; or too late, when the backend has begun the next query, and
 * then it cancels that one. Therefore:
 *
 *     request ends ──> ask ──closed──> over? ──no──> wait (20 ms, doubled up to 300 ms) ──> ask again
 *                       │                └─yes──> no request under way ──> reset ──> the connection is free
 *                       └─ open for 2 s ──> nobody knows whether it still arrives ──> the connection is given up
 *
 * PostgreSQL closes the connection of a cancel request after it has signalled the backend, and a backend that waits for
 * a command absorbs the signal. The reset sends one more statement all the same, and repeats it when it is cancelled:
 * a pooler or a proxy may close the request's connection earlier than PostgreSQL.
 *
 * Invariants: a connection is released only when no cancel request for it is under way, and each request is sent while
 * the query it is meant for has not been settled. A query whose connection is still being opened cannot be cancelled
 * before it runs; it is asked for until it does.
 */

import { withTimeout } from '../../concurrency/with-timeout.ts';
import type { Logger } from '../../observability/logger.ts';
import type { DriverQuery } from './driver-query.ts';
import type { PoolConnection } from './pool-connection.ts';

const minPauseMs = 20;
const maxPauseMs = 300;
/** A cancel request that takes longer may still arrive at any time. */
const requestMs = 2_000;

export class Cancellation {
  readonly #query: DriverQuery;
  readonly #connection: PoolConnection;
  readonly #log: Logger;
  readonly #asked: Promise<void>;
  #isOver = false;
  #isDoubtful = false;
  #wake = () => {};

  /** Begins to ask. */
  constructor(query: DriverQuery, connection: PoolConnection, log: Logger) {
    this.#query = query;
    this.#connection = connection;
    this.#log = log;
    this.#asked = this.#ask();
  }

  /**
   * Call it when the query is over. Resolves when no request is under way. A connection that a request may still hit
   * is given up.
   */
  async finish(): Promise<void> {
    this.#isOver = true;
    this.#wake();
    await this.#asked;
    if (this.#isDoubtful) this.#connection.discard();
  }

  async #ask(): Promise<void> {
    for (let pauseMs = minPauseMs; !this.#isOver; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      const isClosed = await this.#request();
      if (!isClosed) this.#isDoubtful = true;
      if (!this.#isOver) await this.#pause(pauseMs);
    }
  }

  /** Resolves with whether the request's connection has closed. */
  #request(): Promise<boolean> {
    const closed = this.#connection.cancel(this.#query).then(
      () => true,
      (error: unknown) => {
        this.#log.debug('database.cancel_failed', { error });
        return true;
      },
    );
    return withTimeout(closed, requestMs, () => false);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
