/**
 * The connection pool to PostgreSQL, as the rest of the program sees it: a tag for queries, transactions, a ping.
 * The protocol is the driver's (postgres.js); what is added on the way of each query is
 *
 *     sql`…` awaited ──> disabled or closed? request over? ──> slot ──> driver ──> PostgreSQL
 *                          (rejected, never sent)              (waits in order)      │
 *     result or AppError <── slot released <── slow.query, echo, translation <───────┘
 *                                                   ^ request ends: cancelled in PostgreSQL
 *
 * Connections open when they are first needed and again after they broke, so the server may go away and return. The
 * log says once that it is gone (`database.unavailable`) and once that it is back (`database.connected`). Behind a pooler
 * nothing is prepared, so one that lends its connections by the transaction will do (`prepared-statements.ts`).
 *
 * It is no ORM and builds no SQL. It commits nothing on its own: see `transaction.ts`.
 */

import { AppError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { currentRequest, type RequestContext, type WorkSignal } from '../observability/request-context.ts';
import { createConnectionSlots, type SlotStats } from './connection-slots.ts';
import { isConnectionError, isImpaired, isUnavailable } from './database-error.ts';
import { type Driver, openDriver } from './driver.ts';
import { isDriverQuery } from './driver-query.ts';
import { interceptQueries, interceptQuery, type RunQuery, type Sql } from './intercept.ts';
import { createLostQueries, type LostQueries } from './lost-queries.ts';
import { createPreparedStatements } from './prepared-statements.ts';
import { createQueryWatch } from './query-watch.ts';
import { createRunTransaction, type RunTransaction } from './transaction.ts';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`; null is no database: every query rejects. */
  readonly url: string | null;
  /** The most connections this process opens. */
  readonly poolSize: number;
  /** PostgreSQL ends a statement that takes longer; 0 is no limit. */
  readonly statementTimeoutMs: number;
  readonly connectTimeoutSeconds: number;
  /** A query that takes longer is logged as `slow.query`. */
  readonly slowQueryMs: number;
  /** Logs every query at INFO, without the values of its parameters. */
  readonly echo: boolean;
  readonly log: Logger;
  /** What `pg_stat_activity` shows for the connections. */
  readonly applicationName: string;
}

export interface Database {
  /**
   * Queries, each on its own. Rejects with an AppError `database_disabled`, `database_unavailable`,
   * `database_timeout`, `database_busy`, `database_read_only` or `database_impaired`, with `validation_failed` for a text that PostgreSQL cannot store, with the reason of the
   * current request's signal when that is aborted, and else with the driver's PostgresError.
   */
  readonly sql: Sql;
  /**
   * Calls `work` with the `sql` of a new transaction; commits when it resolves, rolls back when it rejects or the
   * request has ended, and rejects with the same errors as `sql`. Inside, use only the `sql` handed in: another one
   * waits for a second connection.
   */
  readonly transaction: RunTransaction;
  /** Resolves if PostgreSQL answers within `timeoutMs`; rejects with an AppError if not. */
  ping(timeoutMs: number): Promise<void>;
  /** Connections in use, and queries waiting for one. */
  stats(): SlotStats;
  /** Refuses new queries, waits for those that run at most `deadlineSeconds`, closes the connections. Idempotent. */
  close(deadlineSeconds: number): Promise<void>;
}

/** Opens the pool, without connecting yet. Throws an Error if the installed driver is not the one it was built for. */
export function connectDatabase(options: DatabaseOptions): Database {
  const { url, log } = options;
  const lostQueries = createLostQueries(() => driver);
  const driver = openPool(options, lostQueries);
  const slots = createConnectionSlots(options.poolSize);
  const watch = createQueryWatch({ ...options, lostQueries, sendOn: driver.send });
  const availability = watchAvailability(log);
  const preparedStatements = createPreparedStatements(driver, slots);
  let closing: Promise<void> | undefined;

  const refusal = (): AppError | undefined => {
    if (url === null) {
      return new AppError(
        'database_disabled',
        'This server runs without a database: set APP_DATABASE_URL to use this function.',
      );
    }
    if (closing !== undefined)
      return new AppError('shutting_down', 'The server is shutting down: try again shortly.');
    return undefined;
  };

  const runAlone: RunQuery = (query, send) => {
    const request = currentRequest();
    runFor(request, request?.signal)(query, send);
  };

  const runFor = (request: RequestContext | undefined, signal: WorkSignal | undefined): RunQuery => {
    return (query, send) => {
      const refused = refusal();
      if (refused !== undefined) return query.reject(refused);
      if (signal?.aborted) return query.reject(signal.reason);
      const start = () => watch({ query, send, request, signal, alone: true, onSettled: settled });
      const waiting = slots.take(signal);
      if (waiting === undefined) start();
      else waiting.then(start, query.reject);
    };
  };

  const note = (error: unknown) => {
    availability.note(error);
    if (error === undefined) preparedStatements.learn();
  };

  const settled = (error: unknown) => {
    slots.release(isConnectionError(error));
    note(error);
  };

  const runTransaction = createRunTransaction({ driver, slots, watch, lostQueries, log, onSettled: settled });

  return {
    sql: interceptQueries<Sql>(driver.unwatched, runAlone),
    async transaction(work, transactionOptions) {
      const refused = refusal();
      if (refused !== undefined) throw refused;
      return runTransaction(work, transactionOptions);
    },
    async ping(timeoutMs) {
      const deadline = AbortSignal.timeout(timeoutMs);
      const query = driver.unwatched`select 1`;
      if (isDriverQuery(query)) interceptQuery(query, runFor(currentRequest(), deadline));
      try {
        await query;
      } catch (cause) {
        if (!deadline.aborted || cause !== deadline.reason) throw cause;
        throw new AppError('database_unavailable', `The database did not answer within ${timeoutMs} ms.`, {
          cause,
        });
      }
    },
    stats: slots.stats,
    close(deadlineSeconds) {
      closing ??= slots.drained(deadlineSeconds * 1000).then(() => driver.end({ timeout: 0 }));
      return closing;
    },
  };
}

function openPool(options: DatabaseOptions, lostQueries: LostQueries): Driver {
  return openDriver(options.url, {
    max: options.poolSize,
    applicationName: options.applicationName,
    connectTimeoutSeconds: options.connectTimeoutSeconds,
    sessionParameters: { statement_timeout: options.statementTimeoutMs },
    answerLimitMs: options.statementTimeoutMs === 0 ? undefined : options.statementTimeoutMs + answerSlackMs,
    onDead: ({ pid, silentMs, error }) =>
      options.log.warning('database.connection_dead', { pid, silent_ms: silentMs, error }),
    driver: {
      // Seconds between attempts to connect. Short, because a query waits for it, and refused attempts cost little.
      backoff: () => 0.05 + Math.random() * 0.1,
      // Until it is known that no pooler is in between: see `prepared-statements.ts`.
      prepare: false,
      onclose: lostQueries.closed,
      onnotice: ({ severity, message }) => options.log.debug('database.notice', { severity, message }),
    },
  });
}

/** How long the message that a statement was timed out may take to arrive, in milliseconds. */
const answerSlackMs = 5_000;

/** Between two lines about a database that is read-only or lacks disk or memory: reads may succeed in between. */
const impairedEveryMs = 60_000;

/** Logs when the database becomes unreachable and reachable again, and not each query that notices. */
function watchAvailability(log: Logger): { note(error: unknown): void } {
  let available: boolean | undefined;
  let impairedAt = Number.NEGATIVE_INFINITY;
  return {
    note(error) {
      if (isImpaired(error) && performance.now() - impairedAt >= impairedEveryMs) {
        impairedAt = performance.now();
        log.error('database.impaired', { error });
      }
      const reachable = !isUnavailable(error);
      if (reachable === available) return;
      available = reachable;
      if (reachable) log.info('database.connected');
      else log.error('database.unavailable', { error });
    },
  };
}
