/**
 * Transactions, owned by the service: it opens one and passes its `sql` down. What it returns is committed; what it
 * throws rolls back. A nested function never commits.
 *
 *     free ──BEGIN──> open ──work resolves, no query failed──> COMMIT ──> free
 *                      ├──work rejects, or a query failed────> ROLLBACK ──> free
 *                      ├──request ends──> caller has the reason at once; queries cancelled ──> ROLLBACK ──> free
 *                      └──connection breaks──> caller has the error at once; PostgreSQL rolls back by itself
 *
 * Once the transaction is over, for whichever reason, its `sql` sends nothing. BEGIN, COMMIT and ROLLBACK are sent here
 * and not by the driver's `begin`, which gives its connection up without closing it when COMMIT or ROLLBACK is
 * cancelled: the pool would lose the connection, and the locks of the transaction would stay.
 *
 * A COMMIT whose connection breaks may have happened or not; the caller gets `database_unavailable`.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../concurrency/deferred.ts';
import type { Logger } from '../observability/logger.ts';
import { currentRequest, type WorkSignal } from '../observability/request-context.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import { isTransient, sqlState, toDatabaseError } from './database-error.ts';
import type { ConnectionSlots } from './driver/connection-slots.ts';
import type { PoolConnection } from './driver/pool-connection.ts';
import type { WatchQuery } from './driver/query-watch.ts';
import { interceptQueries, type Sql } from './sql.ts';

export interface TransactionOptions {
  /** PostgreSQL's own default is `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  /**
   * How often the work may be done again after a deadlock or another failure that only others at the same time have
   * caused (`isTransient`); 3 unless said. Each time the work is called again from its beginning, so set 0 for work
   * that has effects outside of the database, such as a mail, or a list that it appends to.
   */
  readonly retries?: number;
}

/** Runs `work` in a transaction and returns what it returns. See `Database.transaction`. */
export type RunTransaction = <T>(work: (sql: Sql) => Promise<T>, options?: TransactionOptions) => Promise<T>;

/**
 * Writes that a caller of a service adds to the service's transaction. The service calls it with its result as the last
 * step: the writes are committed together with the service's own rows, and an error rolls both back.
 */
export type BeforeCommit<T> = (transaction: Sql, result: T) => Promise<void>;

export interface TransactionParts {
  /** Makes the queries. */
  readonly tag: Sql;
  readonly slots: ConnectionSlots<PoolConnection>;
  readonly watch: WatchQuery;
  readonly log: Logger;
  /** Called once for each connection taken, when it is free, with what the driver threw or undefined. */
  readonly onFree: (connection: PoolConnection, error: unknown) => void;
}

const transactions = new WeakSet<object>();

/** Whether a value is the `sql` of a transaction, and not one whose statements are each committed on their own. */
export function isTransaction(value: unknown): value is Sql {
  return typeof value === 'function' && transactions.has(value);
}

const retryBackoff: Backoff = { baseMs: 20, maxMs: 1000 };

/** Makes the function that runs transactions. */
export function createRunTransaction({ tag, slots, watch, log, onFree }: TransactionParts): RunTransaction {
  return async function runTransaction(work, { isolation, retries = 3 } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await runOnce(work, isolation);
      } catch (error) {
        if (attempt > retries || !isTransient(error)) throw error;
        const waitMs = backoffDelay(attempt, retryBackoff, Math.random);
        log.info('database.retry', { attempt, retries, wait_ms: waitMs, sqlstate: sqlState(error) });
        await delay(waitMs);
      }
    }
  };

  async function runOnce<T>(work: (sql: Sql) => Promise<T>, isolation: TransactionOptions['isolation']) {
    const request = currentRequest();
    const signal = request?.signal;
    if (signal?.aborted) throw signal.reason;
    const connection = await slots.take(signal);
    const scope = new Scope(connection, signal);
    const scoped = interceptQueries(tag, (query) => {
      if (signal?.aborted) return query.reject(signal.reason);
      if (scope.isOver) {
        return query.reject(new Error('This transaction is over: await every query of it before it ends.'));
      }
      const onFree = scope.beginQuery();
      watch({ query, connection, request, signal, alone: false, onFailed: scope.noteFailure, onFree });
    });
    transactions.add(scoped);

    const begun = connection.execute(
      isolation === undefined ? 'begin' : `begin isolation level ${isolation}`,
    );
    try {
      await Promise.race([begun, scope.ended]);
      const value = await Promise.race([work(scoped), scope.ended]);
      await Promise.race([scope.settled(), scope.ended]);
      if (scope.failure !== undefined) throw scope.failure;
      await commit(connection, scope);
      return value;
    } catch (error) {
      const isRolledBack = rollBack(connection, scope, begun);
      // The client that would wait for it is gone.
      if (!signal?.aborted) await isRolledBack;
      throw toDatabaseError(scope.reasonFor(error), false);
    }
  }

  async function commit(connection: PoolConnection, scope: Scope): Promise<void> {
    scope.close();
    const command = await connection.execute('commit');
    if (command !== 'COMMIT')
      throw new Error('PostgreSQL rolled the transaction back when it was to commit.');
    onFree(connection, undefined);
  }

  /** Never rejects. Afterwards the connection is free. */
  async function rollBack(connection: PoolConnection, scope: Scope, begun: Promise<unknown>): Promise<void> {
    scope.close();
    let error: unknown;
    try {
      await begun;
      await scope.settled();
      error = scope.breakage;
    } catch (reason) {
      error = reason;
      connection.discard(reason);
    }
    if (connection.driver !== undefined) await connection.reset(true);
    onFree(connection, error);
  }
}

/** Between BEGIN and COMMIT or ROLLBACK. */
class Scope {
  readonly #connection: PoolConnection;
  readonly #signal: WorkSignal | undefined;
  readonly #abort: () => void;
  #unsettled = 0;
  #onSettled = () => {};
  /** Rejects when the connection breaks or the request ends. */
  readonly ended: Promise<never>;
  /** Whether no more queries are taken. */
  isOver = false;
  /** The error of the first query that failed. */
  failure: unknown;
  /** Why the connection broke, if it did. */
  breakage: Error | undefined;

  constructor(connection: PoolConnection, signal: WorkSignal | undefined) {
    this.#connection = connection;
    this.#signal = signal;
    const ended = createDeferred<never>();
    this.ended = ended.promise;
    this.ended.catch(() => {});
    const end = (reason: unknown) => {
      this.isOver = true;
      ended.reject(reason);
    };
    this.#abort = () => end(signal?.reason);
    signal?.addEventListener('abort', this.#abort, { once: true });
    connection.onBroken = (error) => {
      this.breakage = error;
      end(error);
    };
  }

  /** Counts a query until the function that is returned is called. */
  beginQuery(): () => void {
    this.#unsettled += 1;
    return () => {
      this.#unsettled -= 1;
      if (this.#unsettled === 0) this.#onSettled();
    };
  }

  readonly noteFailure = (error: unknown): void => {
    this.failure ??= error;
  };

  /** Resolves when no query is on the connection, and no cancel request for one is under way. */
  async settled(): Promise<void> {
    if (this.#unsettled === 0) return;
    const settled = createDeferred();
    this.#onSettled = settled.resolve;
    await settled.promise;
  }

  close(): void {
    this.isOver = true;
    this.#connection.onBroken = undefined;
    this.#signal?.removeEventListener('abort', this.#abort);
  }

  /** What the caller gets for an error of its work: 25P02 only says that an earlier query failed. */
  reasonFor(error: unknown): unknown {
    if (this.#signal?.aborted) return this.#signal.reason;
    return sqlState(error) === '25P02' && this.failure !== undefined ? this.failure : error;
  }
}
