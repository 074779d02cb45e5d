/**
 * Transactions, owned by the service: it opens one, passes its `sql` down, and what it returns is committed; what it
 * throws rolls back. A nested function never commits.
 *
 * The driver's `begin` alone is not safe when a connection breaks in the middle: it would send the rollback, and
 * whatever the work still asks for, down a connection that is gone, or that meanwhile serves someone else, where an
 * insert would be committed on its own. Therefore a scope stands between: once the transaction is over or its
 * connection is lost, its `sql` sends nothing, and the driver is never told that the work has finished.
 */

import { AsyncResource } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../observability/logger.ts';
import { currentRequest } from '../observability/request-context.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import { isConnectionError, isTransient, sqlState, toDatabaseError } from './database-error.ts';
import type { Driver } from './driver.ts';
import { interceptQueries, type Sql } from './intercept.ts';
import type { LostQueries } from './lost-queries.ts';
import type { WatchQuery } from './query-watch.ts';

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

export interface TransactionParts {
  readonly driver: Driver;
  readonly slots: ConnectionSlots;
  readonly watch: WatchQuery;
  readonly log: Logger;
  readonly lostQueries: LostQueries;
  /** Called once for each slot taken, when the connection is free, with what the driver threw or undefined. */
  readonly onSettled: (error: unknown) => void;
}

const transactions = new WeakSet<object>();

/** Whether a value is the `sql` of a transaction, and not one whose statements are each committed on their own. */
export function isTransaction(value: unknown): value is Sql {
  return typeof value === 'function' && transactions.has(value);
}

const retryBackoff: Backoff = { baseMs: 20, maxMs: 1000 };

/** Makes the function that runs transactions. Call it outside of any request, where its connections will live. */
export function createRunTransaction(parts: TransactionParts): RunTransaction {
  const { driver, slots, watch, log, lostQueries, onSettled } = parts;
  const begin = AsyncResource.bind(async (mode: string, use: (tag: Sql) => Promise<void>): Promise<void> => {
    let isLost = false;
    let tellLost = (_error: Error) => {};
    const lost = new Promise<never>((_, reject) => {
      tellLost = reject;
    });
    const expected = lostQueries.expect((error) => {
      isLost = true;
      tellLost(error);
    });
    // The driver hands its BEGIN over in a microtask, which comes between these two.
    queueMicrotask(() => expected.listen());
    const begun = driver.begin(mode, (tag) => {
      expected.forget();
      // The driver takes the first answer of the next connection for that to a BEGIN it has lost.
      return isLost ? new Promise<void>(() => {}) : use(tag);
    });
    queueMicrotask(() => expected.stopListening());
    try {
      await Promise.race([begun, lost]);
    } finally {
      expected.forget();
    }
  });

  /** `begin` that PostgreSQL refused before the work was called has done nothing, and is asked for once more. */
  async function open(mode: string, use: (tag: Sql) => Promise<void>): Promise<void> {
    let begun = false;
    try {
      await begin(mode, (tag) => {
        begun = true;
        return use(tag);
      });
    } catch (error) {
      if (begun || sqlState(error) === undefined) throw error;
      await begin(mode, use);
    }
  }

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
    await slots.take(signal);

    const scope = { over: false };
    const workInRequest = AsyncResource.bind(work);
    let outcome: { readonly value: T } | undefined;
    try {
      await open(isolation === undefined ? '' : `isolation level ${isolation}`, (tag) => {
        const working = workInRequest(scopedTag(tag));
        return new Promise<void>((commit, rollBack) => {
          working.then(
            (value) => {
              if (scope.over) return;
              outcome = { value };
              // A request that has ended was told that it failed: then nothing of it may stay.
              if (signal?.aborted) rollBack(signal.reason);
              else commit();
            },
            (error) => {
              if (!scope.over) rollBack(error);
            },
          );
        });
      });
      onSettled(undefined);
    } catch (error) {
      onSettled(error);
      throw toDatabaseError(error, false);
    } finally {
      scope.over = true;
    }
    if (outcome === undefined) throw new Error('The transaction was committed before its work had ended.');
    return outcome.value;

    function scopedTag(tag: Sql): Sql {
      const scoped = interceptQueries(tag, (query, send) => {
        if (scope.over) {
          query.reject(new Error('This transaction is over: await every query of it before it ends.'));
          return;
        }
        if (signal?.aborted) {
          query.reject(signal.reason);
          return;
        }
        watch({
          ...{ query, send, request, signal, alone: false },
          onSettled(error) {
            if (isConnectionError(error)) scope.over = true;
          },
        });
      });
      transactions.add(scoped);
      return scoped;
    }
  }
}
