/**
 * Transactions. A service owns its transaction: it opens one and passes the `sql` of the transaction down. The
 * transaction commits when the work resolves and rolls back when it rejects. A nested function never commits.
 *
 *     free ──BEGIN──> open ──work resolves, no query failed──> COMMIT ──> free
 *                      ├──work rejects, or a query failed────> ROLLBACK ──> free
 *                      ├──request ends──> caller gets the reason at once; queries cancelled ──> ROLLBACK ──> free
 *                      └──connection breaks──> caller gets the error at once; PostgreSQL rolls back by itself
 *
 * After the end of the transaction its `sql` sends nothing. This module sends BEGIN, COMMIT and ROLLBACK itself instead
 * of using the driver's `begin`: that one abandons its connection without closing it when COMMIT or ROLLBACK is
 * cancelled, so the pool would lose the connection and the locks of the transaction would remain.
 *
 * When the connection breaks during COMMIT, PostgreSQL may have committed or not. The caller gets
 * `database_unavailable`.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../concurrency/deferred.ts';
import type { Logger } from '../observability/logger.ts';
import { currentRequest, type WorkSignal } from '../observability/request-context.ts';
import type { QueryTarget } from '../observability/trace-channels.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import { isTransient, sqlState, toDatabaseError } from './database-error.ts';
import type { ConnectionSlots } from './driver/connection-slots.ts';
import type { PoolConnection } from './driver/pool-connection.ts';
import type { WatchQuery } from './driver/query-watch.ts';
import { traceStatement } from './query-trace.ts';
import { interceptQueries, type Sql } from './sql.ts';

export interface TransactionOptions {
  /** Default: that of PostgreSQL, `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  /**
   * How often the work may be repeated after a deadlock or another failure that only concurrent transactions caused
   * (`isTransient`). Default: 3. Each attempt calls the work from its beginning, so set 0 for work with effects outside
   * the database, such as a mail, or a list that it appends to.
   */
  readonly retries?: number;
}

/** Runs `work` in a transaction and returns its result. See `Database.transaction`. */
export type RunTransaction = <T>(work: (sql: Sql) => Promise<T>, options?: TransactionOptions) => Promise<T>;

/**
 * Writes that a caller of a service adds to the service's transaction. The service calls it with its result as the last
 * step: the writes are committed together with the service's own rows, and an error rolls both back.
 */
export type BeforeCommit<T> = (transaction: Sql, result: T) => Promise<void>;

export interface TransactionParts {
  /** Creates the queries. */
  readonly tag: Sql;
  readonly slots: ConnectionSlots<PoolConnection>;
  readonly watch: WatchQuery;
  /** Named in the spans of its own statements. */
  readonly target: QueryTarget;
  readonly log: Logger;
  /** Called once for each acquired connection when it is free, with the error of the driver or undefined. */
  readonly onFree: (connection: PoolConnection, error: unknown) => void;
}

const transactions = new WeakSet<object>();

/** Whether a value is the `sql` of a transaction, and not a tag in autocommit mode. */
export function isTransaction(value: unknown): value is Sql {
  return typeof value === 'function' && transactions.has(value);
}

const retryBackoff: Backoff = { baseMs: 20, maxMs: 1000 };

/** Creates the function that runs transactions. */
export function createRunTransaction({
  tag,
  slots,
  watch,
  target,
  log,
  onFree,
}: TransactionParts): RunTransaction {
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
    const connection = await slots.acquire(signal);
    const scope = new Scope(connection, signal);
    const scoped = interceptQueries(tag, (query) => {
      if (signal?.aborted) return query.reject(signal.reason);
      if (scope.isOver) {
        return query.reject(
          new Error('This transaction has ended: await every query before the end of the transaction.'),
        );
      }
      const onFree = scope.beginQuery();
      watch({ query, connection, request, signal, autocommit: false, onFailed: scope.noteError, onFree });
    });
    transactions.add(scoped);

    const opening = isolation === undefined ? 'begin' : `begin isolation level ${isolation}`;
    const begin = traceStatement(target, opening, () => connection.execute(opening));
    try {
      await Promise.race([begin, scope.ended]);
      const value = await Promise.race([work(scoped), scope.ended]);
      await Promise.race([scope.whenIdle(), scope.ended]);
      if (scope.firstError !== undefined) throw scope.firstError;
      await commit(connection, scope);
      return value;
    } catch (error) {
      const isRolledBack = rollBack(connection, scope, begin);
      // An aborted signal means that no client waits for the end of the rollback.
      if (!signal?.aborted) await isRolledBack;
      throw toDatabaseError(scope.toCallerError(error), false);
    }
  }

  async function commit(connection: PoolConnection, scope: Scope): Promise<void> {
    scope.close();
    const command = await traceStatement(target, 'commit', () => connection.execute('commit'));
    if (command !== 'COMMIT')
      throw new Error('PostgreSQL rolled the transaction back instead of committing it.');
    onFree(connection, undefined);
  }

  /** Never rejects. Afterwards the connection is free. */
  async function rollBack(connection: PoolConnection, scope: Scope, begin: Promise<unknown>): Promise<void> {
    scope.close();
    let error: unknown;
    try {
      await begin;
      await scope.whenIdle();
      error = scope.breakError;
    } catch (reason) {
      error = reason;
      connection.discard(reason);
    }
    if (connection.driver !== undefined)
      await traceStatement(target, 'rollback', () => connection.reset(true));
    onFree(connection, error);
  }
}

/** The state of one transaction, between BEGIN and COMMIT or ROLLBACK. */
class Scope {
  readonly #connection: PoolConnection;
  readonly #signal: WorkSignal | undefined;
  readonly #abort: () => void;
  #running = 0;
  #onIdle = () => {};
  /** Rejects when the connection breaks or the request ends. */
  readonly ended: Promise<never>;
  /** Whether the transaction accepts no more queries. */
  isOver = false;
  /** The error of the first query that failed. */
  firstError: unknown;
  /** Why the connection broke, if it did. */
  breakError: Error | undefined;

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
      this.breakError = error;
      end(error);
    };
  }

  /** Counts a query as running until the returned function is called. */
  beginQuery(): () => void {
    this.#running += 1;
    return () => {
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle();
    };
  }

  readonly noteError = (error: unknown): void => {
    this.firstError ??= error;
  };

  /** Resolves when no query runs on the connection, and no cancel request for one is pending. */
  async whenIdle(): Promise<void> {
    if (this.#running === 0) return;
    const idle = createDeferred();
    this.#onIdle = idle.resolve;
    await idle.promise;
  }

  close(): void {
    this.isOver = true;
    this.#connection.onBroken = undefined;
    this.#signal?.removeEventListener('abort', this.#abort);
  }

  /**
   * Returns the error for the caller. 25P02 only means that an earlier query failed, so that query's error replaces it.
   */
  toCallerError(error: unknown): unknown {
    if (this.#signal?.aborted) return this.#signal.reason;
    return sqlState(error) === '25P02' && this.firstError !== undefined ? this.firstError : error;
  }
}
