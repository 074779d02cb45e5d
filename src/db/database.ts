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
import { currentRequest, type WorkSignal } from '../observability/request-context.ts';
import { isImpaired, isUnavailable } from './database-error.ts';
import type { BackendActivity } from './driver/backend-activity.ts';
import { serverKeepAlive, setServerKeepAlive } from './driver/connection-options.ts';
import { createConnectionSlots, type SlotStats } from './driver/connection-slots.ts';
import { type Driver, listenForDead, openActivity, openDriver } from './driver/driver.ts';
import { isDriverQuery } from './driver/driver-query.ts';
import { type OpenConnection, PoolConnection } from './driver/pool-connection.ts';
import { createPreparedStatements } from './driver/prepared-statements.ts';
import { createQueryWatch } from './driver/query-watch.ts';
import { interceptQueries, interceptQuery, type RunQuery, type Sql } from './sql.ts';
import { createRunTransaction, type RunTransaction } from './transaction.ts';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`; null is no database: every query rejects. */
  readonly url: string | null;
  /** The most connections this process opens. */
  readonly poolSize: number;
  /** How many queries and transactions may wait for a connection at once; without limit unless given. */
  readonly maxWaiting?: number;
  /** How long each of them may wait, in milliseconds; without limit unless given. */
  readonly maxWaitMs?: number;
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
  /**
   * The same for health checks. They never wait behind the queries of requests: when no connection is free, they use one
   * more, which is closed when it has been idle for a while.
   */
  readonly probe: Sql;
  /** Resolves if PostgreSQL answers a `probe` within `timeoutMs`; rejects with an AppError if not. */
  ping(timeoutMs: number): Promise<void>;
  /** Connections in use, and queries waiting for one. */
  stats(): SlotStats;
  /** How many queries and transactions were refused so far because too many waited, or for too long. */
  refused(): number;
  /** Refuses new queries, waits for those that run at most `deadlineSeconds`, closes the connections. Idempotent. */
  close(deadlineSeconds: number): Promise<void>;
}

/** Opens the pool, without connecting yet. Throws an Error if the installed driver is not the one it was built for. */
export function connectDatabase(options: DatabaseOptions): Database {
  const { url, log } = options;
  const activity = openActivity(url, options);
  let isDirect = false;
  const open: OpenConnection = (onClose) => openPoolDriver(options, { isDirect, activity, onClose });
  const connections = Array.from({ length: options.poolSize }, () => new PoolConnection(open));
  const beside = new PoolConnection(open);
  const slots = createConnectionSlots(connections, options);
  // What killed one connection has probably killed the others: a statement on each of them would wait for nothing.
  const stopListening = listenForDead(url, ({ silentMs }) => {
    const silentSince = performance.now() - silentMs;
    for (const connection of slots.free()) connection.discardIfSilentSince(silentSince);
    beside.discardIfSilentSince(silentSince);
  });
  const watch = createQueryWatch(options);
  const availability = watchAvailability(log);
  /** Connections that get the settings of `serverKeepAlive` when they are free: in a transaction a failure would end it. */
  const unset = new Set<PoolConnection>();
  const preparedStatements = createPreparedStatements(slots, (asked) => {
    isDirect = true;
    const idle = new Set([beside, asked, ...slots.free()]);
    for (const connection of [beside, ...connections]) {
      if (connection.driver === undefined) continue;
      // The driver reads it anew for each query that it sends.
      connection.driver.options.prepare = true;
      if (idle.has(connection)) void keepAlive(connection);
      else unset.add(connection);
    }
  });
  // Makes queries, and connects to nothing.
  const tag = open(() => {}).unwatched;
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

  const note = (error: unknown) => {
    availability.note(error);
    if (error === undefined) preparedStatements.learn();
  };

  const free = (connection: PoolConnection, error: unknown) => {
    connection.retire();
    if (unset.delete(connection) && connection.driver !== undefined) {
      void keepAlive(connection).then(() => slots.release(connection));
    } else slots.release(connection);
    note(error);
  };

  const runAlone: RunQuery = (query) => {
    const request = currentRequest();
    const signal = request?.signal;
    const refused = refusal();
    if (refused !== undefined) return query.reject(refused);
    if (signal?.aborted) return query.reject(signal.reason);
    const start = (connection: PoolConnection) => {
      const onFree = (error: unknown) => free(connection, error);
      // No spread of another object: what it leaves behind outlives the query by two collections.
      watch({ query, connection, request, signal, alone: true, onFree });
    };
    const taken = slots.take(signal);
    if (taken instanceof PoolConnection) start(taken);
    else taken.then(start, query.reject);
  };

  const runProbe = (signal: WorkSignal | undefined): RunQuery => {
    return (query) => {
      const refused = refusal();
      if (refused !== undefined) return query.reject(refused);
      if (signal?.aborted) return query.reject(signal.reason);
      const connection = slots.takeFree() ?? beside;
      const onFree = (error: unknown) => {
        if (connection !== beside) return free(connection, error);
        note(error);
        closeIdle();
      };
      watch({ query, connection, request: currentRequest(), signal, alone: true, onFree });
    };
  };

  let idleTimer: NodeJS.Timeout | undefined;
  const closeIdle = () => {
    clearTimeout(idleTimer);
    idleTimer = setTimeout(() => {
      if (beside.isIdle) beside.discard();
    }, besideIdleMs).unref();
  };

  const runTransaction = createRunTransaction({ tag, slots, watch, log, onFree: free });

  return {
    sql: interceptQueries<Sql>(tag, runAlone),
    async transaction(work, transactionOptions) {
      const refused = refusal();
      if (refused !== undefined) throw refused;
      try {
        return await runTransaction(work, transactionOptions);
      } catch (error) {
        availability.noteImpairment(error);
        throw error;
      }
    },
    probe: interceptQueries<Sql>(tag, (query, send) => runProbe(currentRequest()?.signal)(query, send)),
    async ping(timeoutMs) {
      const deadline = AbortSignal.timeout(timeoutMs);
      const query = tag`select 1`;
      if (isDriverQuery(query)) interceptQuery(query, runProbe(deadline));
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
    refused: slots.refused,
    close(deadlineSeconds) {
      closing ??= slots.drained(deadlineSeconds * 1000).then(async () => {
        clearTimeout(idleTimer);
        stopListening();
        await Promise.all([beside, ...connections].map((connection) => connection.close()));
        activity.close();
      });
      return closing;
    },
  };
}

/** How long the connection beside the pool stays open while it is not used. */
const besideIdleMs = 30_000;

interface PoolDriverOptions {
  /** Whether no pooler stands in between, as far as is known: see `prepared-statements.ts`. */
  readonly isDirect: boolean;
  readonly activity: BackendActivity;
  readonly onClose: () => void;
}

/** Never rejects. */
async function keepAlive(connection: PoolConnection): Promise<void> {
  await connection.execute(setServerKeepAlive).catch(() => {});
}

function openPoolDriver(
  options: DatabaseOptions,
  { isDirect, activity, onClose }: PoolDriverOptions,
): Driver {
  const { statementTimeoutMs, log } = options;
  return openDriver(options.url, {
    max: 1,
    applicationName: options.applicationName,
    connectTimeoutSeconds: options.connectTimeoutSeconds,
    sessionParameters: { statement_timeout: statementTimeoutMs, ...(isDirect ? serverKeepAlive : {}) },
    answerLimitMs: statementTimeoutMs === 0 ? undefined : statementTimeoutMs + answerSlackMs,
    activity,
    onDead: ({ pid, silentMs, error }) =>
      log.warning('database.connection_dead', { pid, silent_ms: silentMs, error }),
    driver: {
      prepare: isDirect,
      // The pool renews its connections while they are idle.
      max_lifetime: null,
      onclose: onClose,
      onnotice: ({ severity, message }) => log.debug('database.notice', { severity, message }),
    },
  });
}

/** How long the message that a statement was timed out may take to arrive, in milliseconds. */
const answerSlackMs = 5_000;

/** Between two lines about a database that is read-only or lacks disk or memory: reads may succeed in between. */
const impairedEveryMs = 60_000;

/** Logs when the database becomes unreachable and reachable again, and not each query that notices. */
function watchAvailability(log: Logger): {
  note(error: unknown): void;
  noteImpairment(error: unknown): void;
} {
  let available: boolean | undefined;
  let impairedAt = Number.NEGATIVE_INFINITY;
  const noteImpairment = (error: unknown) => {
    if (!isImpaired(error) || performance.now() - impairedAt < impairedEveryMs) return;
    impairedAt = performance.now();
    log.error('database.impaired', { error });
  };
  return {
    noteImpairment,
    note(error) {
      noteImpairment(error);
      const reachable = !isUnavailable(error);
      if (reachable === available) return;
      available = reachable;
      if (reachable) log.info('database.connected');
      else log.error('database.unavailable', { error });
    },
  };
}
