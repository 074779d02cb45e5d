/**
 * The connection pool to PostgreSQL: a tag for queries, transactions, and a ping for health checks. The driver
 * (postgres.js) speaks the protocol; this module adds the following to each query:
 *
 *     sql`…` awaited ──> disabled, closed, or request over? ──> slot ──> driver ──> PostgreSQL
 *                          (rejected, never sent)             (first in,      │
 *                                                              first out)     │
 *     result or AppError <── slot released <── slow.query, echo, error <──────┘
 *                                                   ^ the request ends: the query is cancelled in PostgreSQL
 *
 * Connections open when a query first needs them, and again after they broke, so PostgreSQL may restart at any time.
 * The log reports once that the database is unreachable (`database.unavailable`) and once that it is back
 * (`database.connected`). A pool can have a circuit, which rejects its queries while the database is away
 * (`availability.ts`). Behind a pooler no statement is prepared, so transaction pooling works
 * (`prepared-statements.ts`).
 *
 * This is no ORM and builds no SQL. It commits nothing on its own: see `transaction.ts`.
 */

import { AppError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { CreateProbedCircuit } from '../observability/probed-circuit.ts';
import { currentRequest, type WorkSignal } from '../observability/request-context.ts';
import { createAvailability } from './availability.ts';
import type { BackendActivity } from './driver/backend-activity.ts';
import { serverKeepAlive, setServerKeepAlive } from './driver/connection-options.ts';
import { createConnectionSlots, type SlotStats } from './driver/connection-slots.ts';
import { type Driver, listenForDead, openActivity, openDriver, openLockWaits } from './driver/driver.ts';
import type { DriverQuery } from './driver/driver-query.ts';
import type { LockWaits } from './driver/lock-wait.ts';
import { createPing } from './driver/ping.ts';
import { connectionError, type OpenConnection, PoolConnection } from './driver/pool-connection.ts';
import { createPreparedStatements } from './driver/prepared-statements.ts';
import { createQueryWatch } from './driver/query-watch.ts';
import { findQueryTarget } from './query-trace.ts';
import { interceptQueries, type RunQuery, type Sql } from './sql.ts';
import { createRunTransaction, type RunTransaction } from './transaction.ts';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`. null means no database: every query rejects. */
  readonly url: string | null;
  /** The maximum number of connections of this process. Default: 1. */
  readonly poolSize?: number;
  /** How many queries and transactions may wait for a connection at once. Default: no limit. */
  readonly maxWaiting?: number;
  /** How long each of them may wait, in milliseconds. Default: no limit. */
  readonly maxWaitMs?: number;
  /** PostgreSQL cancels a statement that runs longer. Default: 0, which means no limit. */
  readonly statementTimeoutMs?: number;
  /** Default: 10. */
  readonly connectTimeoutSeconds?: number;
  /** A query that takes longer is logged as `slow.query`. Default: none is. */
  readonly slowQueryMs?: number;
  /** Logs every query at INFO, without the values of its parameters. Default: false. */
  readonly echo?: boolean;
  readonly log: Logger;
  /** Creates the circuit of the database. Default: none, so each query tries to connect. */
  readonly createCircuit?: CreateProbedCircuit | undefined;
  /** The `application_name` of the connections in `pg_stat_activity`. */
  readonly applicationName: string;
}

export interface Database {
  /**
   * Runs queries in autocommit mode. A query rejects with an AppError `database_disabled`, `database_unavailable`,
   * `database_timeout`, `database_busy`, `database_read_only` or `database_impaired`; with `overloaded` if too many
   * wait for a connection; with `validation_failed` for a text that PostgreSQL cannot store; with the reason of the
   * current request's signal when that is aborted; and otherwise with the driver's PostgresError.
   */
  readonly sql: Sql;
  /**
   * Calls `work` with the `sql` of a new transaction. Commits when `work` resolves; rolls back when it rejects or the
   * request has ended. Rejects with the same errors as `sql`. Inside `work`, use only the `sql` passed to it: any other
   * tag waits for a second connection.
   */
  readonly transaction: RunTransaction;
  /**
   * Runs queries of health checks. They never wait behind the queries of requests: when no connection is free, they use
   * an additional one, which is closed after it has been idle for a while.
   */
  readonly probe: Sql;
  /**
   * Resolves if PostgreSQL answers a statement within `timeoutMs`. Rejects with an AppError otherwise, at once while the
   * circuit is open.
   */
  ping(timeoutMs: number): Promise<void>;
  /** Returns how many connections are in use, and how many queries wait for one. */
  stats(): SlotStats;
  /** Returns how long the first query in the queue for a connection has waited, in milliseconds; 0 if none waits. */
  oldestWaitMs(): number;
  /** Returns how many queries and transactions were rejected because too many waited, or waited too long. */
  refused(): number;
  /**
   * Resolves when no statement is in progress. After `withinMs`, cuts the connections off on which there is one, so that the
   * network does not deliver it later. Never rejects. For statements that were aborted.
   */
  settle(withinMs: number): Promise<void>;
  /** Rejects new queries, waits at most `deadlineSeconds` for running ones, and closes the connections. Idempotent. */
  close(deadlineSeconds: number): Promise<void>;
}

const defaults = {
  poolSize: 1,
  statementTimeoutMs: 0,
  connectTimeoutSeconds: 10,
  slowQueryMs: Number.POSITIVE_INFINITY,
  echo: false as boolean,
};

type CompleteOptions = DatabaseOptions & typeof defaults;

/** Opens the pool without connecting. Throws an Error if the installed driver is not the pinned version. */
export function connectDatabase(given: DatabaseOptions): Database {
  const options: CompleteOptions = { ...defaults, ...given };
  const { url, log } = options;
  const activity = openActivity(url, options);
  const lockWaits = openLockWaits(url, options);
  let isDirect = false;
  const open: OpenConnection = (onClose) =>
    openPoolDriver(options, {
      isDirect,
      activity,
      lockWaits,
      onClose,
      onSilent: () => availability.suspect(),
    });
  const connections = Array.from({ length: options.poolSize }, () => new PoolConnection(open));
  const probeConnection = new PoolConnection(open);
  const slots = createConnectionSlots(connections, {
    isOpen: ({ driver }) => driver !== undefined,
    maxWaiting: options.maxWaiting,
    maxWaitMs: options.maxWaitMs,
  });
  // A failure that kills one connection has probably killed the idle ones too. A query on one of them would wait for
  // the answer watch, so they are closed at once.
  const stopListening = listenForDead(url, ({ silentMs }) => {
    const silentSince = performance.now() - silentMs;
    for (const connection of slots.free()) connection.discardIfSilentSince(silentSince);
    probeConnection.discardIfSilentSince(silentSince);
  });
  const target = findQueryTarget(url);
  const availability = createAvailability({
    log,
    createCircuit: url === null ? undefined : options.createCircuit,
    probe: (timeoutMs) => ping(timeoutMs),
    mayAnswer: () => connections.some(({ hasAnswered }) => hasAnswered),
    onOpen() {
      slots.rejectWaiting(availability.rejection);
      for (const connection of connections) connection.discardIfOpening(circuitOpened());
      // The failure has probably killed the idle ones too. Each would cost one probe, and the time until the next one.
      const now = performance.now();
      for (const connection of [probeConnection, ...slots.free()]) connection.discardIfSilentSince(now);
    },
  });
  const watch = createQueryWatch({ ...options, target, onAnswer: availability.noteAnswer });
  /**
   * Busy connections that get `serverKeepAlive` when they are free. Inside a transaction, an error of that statement
   * would abort the transaction.
   */
  const pendingKeepAlive = new Set<PoolConnection>();
  const preparedStatements = createPreparedStatements(slots, (asked) => {
    isDirect = true;
    const idle = new Set([probeConnection, asked, ...slots.free()]);
    for (const connection of [probeConnection, ...connections]) {
      if (connection.driver === undefined) continue;
      // The driver reads the option for each query that it sends.
      connection.driver.options.prepare = true;
      if (idle.has(connection)) void keepAlive(connection);
      else pendingKeepAlive.add(connection);
    }
  });
  // Creates queries, and never connects.
  const tag = open(() => {}).unwatched;
  let closing: Promise<void> | undefined;

  const rejection = (): AppError | undefined => {
    if (url === null) {
      return new AppError(
        'database_disabled',
        'This server runs without a database: set APP_DATABASE_URL to use this function.',
      );
    }
    if (closing !== undefined)
      return new AppError('shutting_down', 'The server is shutting down: try again shortly.');
    return availability.isOpen() ? availability.rejection() : undefined;
  };

  const note = (error: unknown) => {
    availability.note(error);
    if (error === undefined) preparedStatements.learn();
  };

  const release = (connection: PoolConnection, error: unknown) => {
    connection.retire();
    if (pendingKeepAlive.delete(connection) && connection.driver !== undefined) {
      void keepAlive(connection).then(() => slots.release(connection));
    } else slots.release(connection);
    note(error);
  };

  const runAlone: RunQuery = (query) => {
    const request = currentRequest();
    const signal = request?.signal;
    const error = rejection();
    if (error !== undefined) return query.reject(error);
    if (signal?.aborted) return query.reject(signal.reason);
    const start = (connection: PoolConnection) => {
      const onFree = (error: unknown) => release(connection, error);
      // No object spread: the garbage of one outlives the query by two collections.
      watch({ query, connection, request, signal, autocommit: true, onFree });
    };
    const acquired = slots.acquire(signal);
    if (acquired instanceof PoolConnection) start(acquired);
    else acquired.then(start, query.reject);
  };

  const runOnSpare = (query: DriverQuery, signal: WorkSignal | undefined): PoolConnection => {
    const connection = slots.tryAcquire() ?? probeConnection;
    const onFree = (error: unknown) => {
      if (connection !== probeConnection) return release(connection, error);
      note(error);
      closeIdle();
    };
    watch({ query, connection, request: currentRequest(), signal, autocommit: true, onFree });
    return connection;
  };

  const runProbe: RunQuery = (query) => {
    const signal = currentRequest()?.signal;
    const error = rejection();
    if (error !== undefined) return query.reject(error);
    if (signal?.aborted) return query.reject(signal.reason);
    runOnSpare(query, signal);
  };

  const ping = createPing(tag, (query) => runOnSpare(query, undefined));

  let idleTimer: NodeJS.Timeout | undefined;
  const closeIdle = () => {
    clearTimeout(idleTimer);
    idleTimer = setTimeout(() => {
      if (probeConnection.isIdle) probeConnection.discard();
    }, probeIdleMs).unref();
  };

  const runTransaction = createRunTransaction({ tag, slots, watch, target, log, onFree: release });

  return {
    sql: interceptQueries<Sql>(tag, runAlone),
    async transaction(work, transactionOptions) {
      const error = rejection();
      if (error !== undefined) throw error;
      try {
        return await runTransaction(work, transactionOptions);
      } catch (error) {
        availability.noteImpairment(error);
        throw error;
      }
    },
    probe: interceptQueries<Sql>(tag, runProbe),
    async ping(timeoutMs) {
      const error = rejection();
      if (error !== undefined) throw error;
      await ping(timeoutMs);
    },
    stats: slots.stats,
    oldestWaitMs: slots.oldestWaitMs,
    refused: slots.refused,
    async settle(withinMs) {
      await slots.drained(withinMs);
      const free = new Set(slots.free());
      for (const connection of connections) {
        if (free.has(connection)) continue;
        connection.cutOff(connectionError('CONNECTION_DESTROYED', 'An aborted statement did not end.'));
      }
    },
    close(deadlineSeconds) {
      closing ??= slots.drained(deadlineSeconds * 1000).then(async () => {
        clearTimeout(idleTimer);
        stopListening();
        availability.stop();
        await Promise.all([probeConnection, ...connections].map((connection) => connection.close()));
        activity.close();
      });
      return closing;
    },
  };
}

/** How long the probe connection stays open while it is idle. */
const probeIdleMs = 30_000;

interface PoolDriverOptions {
  /** Whether PostgreSQL is known to be connected without a pooler: see `prepared-statements.ts`. */
  readonly isDirect: boolean;
  readonly activity: BackendActivity;
  readonly lockWaits: LockWaits;
  readonly onClose: () => void;
  readonly onSilent: () => void;
}

/** Never rejects. */
async function keepAlive(connection: PoolConnection): Promise<void> {
  await connection.execute(setServerKeepAlive).catch(() => {});
}

function openPoolDriver(
  options: CompleteOptions,
  { isDirect, activity, lockWaits, onClose, onSilent }: PoolDriverOptions,
): Driver {
  const { statementTimeoutMs, log } = options;
  return openDriver(options.url, {
    max: 1,
    applicationName: options.applicationName,
    connectTimeoutSeconds: options.connectTimeoutSeconds,
    sessionParameters: { statement_timeout: statementTimeoutMs, ...(isDirect ? serverKeepAlive : {}) },
    answerLimitMs: statementTimeoutMs === 0 ? undefined : statementTimeoutMs + answerSlackMs,
    activity,
    lockWaits,
    slowMs: options.slowQueryMs,
    onSilent,
    onDead: ({ pid, silentMs, error }) =>
      log.warning('database.connection_dead', { pid, silent_ms: silentMs, error }),
    driver: {
      prepare: isDirect,
      // The pool renews its connections itself, while they are idle.
      max_lifetime: null,
      onclose: onClose,
      onnotice: ({ severity, message }) => log.debug('database.notice', { severity, message }),
    },
  });
}

/** How long after the statement timeout its message from PostgreSQL may arrive before the connection counts as dead, in milliseconds. */
const answerSlackMs = 5_000;

function circuitOpened(): Error {
  return connectionError(
    'CONNECT_TIMEOUT',
    'The connection was not open when the circuit of the database opened.',
  );
}
