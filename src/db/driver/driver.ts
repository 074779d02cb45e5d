/**
 * Opens the driver (postgres.js). Every connection of the program to PostgreSQL is opened here: pools, sessions that
 * hold locks, LISTEN. So each of them has the fixes of `driver-query.ts`.
 *
 * The version of the package is pinned exactly, and a driver whose queries look different is rejected.
 */

import postgres from 'postgres';
import { interceptQueries, type Sql } from '../sql.ts';
import { type AnswerWatch, createAnswerWatch, type DeadConnection } from './answer-watch.ts';
import { type ActivityConnection, type BackendActivity, createBackendActivity } from './backend-activity.ts';
import { columnTypes } from './column-types.ts';
import { connectionOptions } from './connection-options.ts';
import { withoutPostgresVariables } from './driver-environment.ts';
import { isDriverQuery } from './driver-query.ts';
import { createDriverSockets, type DriverSockets, keepAliveSeconds } from './driver-socket.ts';
import { createLockWaits, type LockWaits } from './lock-wait.ts';
import { repairQueries } from './repair-queries.ts';

/** A pool of the driver, or a single connection if `max` is 1. */
export interface Driver extends Sql {
  /** The driver's own tag; send its queries with `send`. A query that is intercepted twice would be kept in memory. */
  readonly unwatched: Sql;
  readonly send: AnswerWatch['send'];
  readonly options: postgres.Sql<{ int8: number }>['options'];
  /** Closes all connections at once, and discards bytes that were not delivered yet. */
  reset(reason: Error): void;
  /** Closes all connections, and after `timeout` seconds (if given) also those that wait for a response. */
  end(options?: { readonly timeout: number }): Promise<void>;
}

/** The options that differ between callers. All others are the same for all connections. */
export interface DriverOptions {
  /** The maximum number of connections. */
  readonly max: number;
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  /** Additional session parameters, sent when a connection opens. A pooler rejects parameters that it does not know. */
  readonly sessionParameters?: Readonly<Record<string, string | number>>;
  /** See `answer-watch.ts`. */
  readonly answerLimitMs?: number | undefined;
  /** Shared with other drivers of the same server. Default: one of its own. */
  readonly activity?: BackendActivity;
  /** Shared with other drivers of the same server; with `slowMs`, for the log. Default: none. */
  readonly lockWaits?: LockWaits;
  readonly slowMs?: number;
  /** Called every 500 ms while a statement waits for its response. See `answer-watch.ts`. */
  readonly onSilent?: (() => void) | undefined;
  /** Called for each connection that was given up because no response arrived. */
  readonly onDead?: ((dead: DeadConnection) => void) | undefined;
  /** Options of the driver that only some callers need. */
  readonly driver?: Omit<postgres.Options<typeof columnTypes>, 'max' | 'connection' | 'types'>;
}

/**
 * Does not connect: a connection opens with its first query. Throws an Error if the driver is not the pinned version.
 */
export function openDriver(url: string | null, options: DriverOptions): Driver {
  const activity = options.activity ?? openActivity(url, options);
  const onDead = (dead: DeadConnection) => {
    options.onDead?.(dead);
    for (const listener of deadListeners.get(url) ?? []) listener(dead);
  };
  const { answerLimitMs: limitMs, lockWaits, slowMs, onSilent } = options;
  const watch = createAnswerWatch({ activity, limitMs, lockWaits, slowMs, onSilent, onDead });
  const sockets = createDriverSockets(watch.opened);
  const own = { ...options.driver, max: options.max, connect_timeout: options.connectTimeoutSeconds };
  const parameters = { application_name: options.applicationName, ...options.sessionParameters };
  const driver = connect(url, sockets, own, parameters);
  const query = driver`select 1`;
  if (!isDriverQuery(query)) {
    throw new Error(
      'The installed version of the package postgres is not the one this program was built for.',
    );
  }
  repairQueries(query, driver.CLOSE);
  return Object.assign(interceptQueries<Sql>(driver, watch.send), {
    unwatched: driver,
    send: watch.send,
    options: driver.options,
    reset: sockets.resetAll,
    async end(how?: { readonly timeout: number }) {
      if (activity !== options.activity) activity.close();
      await driver.end(how);
      // Leaves time for the last bytes. A dead connection would keep its socket for a quarter of an hour.
      setTimeout(sockets.destroyAll, flushMs).unref();
    },
  });
}

const flushMs = 500;

/** Listeners by URL. */
const deadListeners = new Map<string | null, Set<(dead: DeadConnection) => void>>();

/**
 * Calls `listener` for each dead connection of this thread to `url`, of any driver: the session of a runner and its
 * pool lose their network path together. Returns a function that removes the listener.
 */
export function listenForDead(url: string | null, listener: (dead: DeadConnection) => void): () => void {
  const listeners = deadListeners.get(url) ?? new Set();
  deadListeners.set(url, listeners.add(listener));
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) deadListeners.delete(url);
  };
}

interface Named {
  readonly applicationName: string;
}

/** Creates the source of backend activity for a server. The drivers of a pool share it. */
export function openActivity(url: string | null, named: Named): BackendActivity {
  return createBackendActivity(observerOf(url, named));
}

/** Creates the source of lock waits for a server. The drivers of a pool share it. */
export function openLockWaits(url: string | null, named: Named): LockWaits {
  return createLockWaits(observerOf(url, named));
}

/** Returns the function that opens a connection to observe the others. */
function observerOf(url: string | null, { applicationName }: Named): () => ActivityConnection {
  return () => {
    const sockets = createDriverSockets(() => {});
    // Closed soon, because a connection that was open when the network failed is as dead as those in question.
    const own = { max: 1, idle_timeout: 1, connect_timeout: 2, prepare: false };
    const sql = connect(url, sockets, own, { application_name: applicationName });
    const destroy = () => {
      void sql.end({ timeout: 0 });
      sockets.destroyAll();
    };
    return { sql, destroy };
  };
}

function connect(
  url: string | null,
  sockets: DriverSockets,
  own: postgres.Options<typeof columnTypes>,
  parameters: Readonly<Record<string, string | number>>,
): postgres.Sql<{ int8: number }> {
  // Typed as object, because the driver's types declare a single host and no sockets.
  const target: object = url === null ? {} : connectionOptions(url, parameters);
  const driverOptions = {
    // One query at a time; the driver's default is 100.
    max_pipeline: 1,
    fetch_types: false,
    onnotice: () => {},
    ...own,
    types: columnTypes,
    keep_alive: keepAliveSeconds,
    ...target,
    socket: sockets.open,
  };
  return withoutPostgresVariables(() => postgres(driverOptions));
}
