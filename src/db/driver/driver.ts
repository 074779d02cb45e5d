/**
 * Opens the driver (postgres.js). Every connection of the program to PostgreSQL is opened here: pools, sessions that
 * hold locks, LISTEN. So every one of them has the repairs of `driver-query.ts`.
 *
 * The package's version is pinned exactly, and a driver of another shape is refused.
 */

import postgres from 'postgres';
import { interceptQueries, type Sql } from '../sql.ts';
import { type AnswerWatch, createAnswerWatch, type DeadConnection } from './answer-watch.ts';
import { type BackendActivity, createBackendActivity } from './backend-activity.ts';
import { columnTypes } from './column-types.ts';
import { connectionOptions } from './connection-options.ts';
import { withoutPostgresVariables } from './driver-environment.ts';
import { isDriverQuery, repairQueries } from './driver-query.ts';
import { createDriverSockets, type DriverSockets, keepAliveSeconds } from './driver-socket.ts';

/** A pool of the driver's own, or a single connection if `max` is 1. */
export interface Driver extends Sql {
  /** The driver's own tag, whose queries must be sent by `send`. Two interceptions of one query would keep it in memory. */
  readonly unwatched: Sql;
  readonly send: AnswerWatch['send'];
  readonly options: postgres.Sql<{ int8: number }>['options'];
  /** Closes all connections; after `timeout` seconds, if given, also those that wait for an answer. */
  end(options?: { readonly timeout: number }): Promise<void>;
}

/** What a caller may choose. The rest is the same for all connections. */
export interface DriverOptions {
  /** The most connections it opens. */
  readonly max: number;
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  /** Further parameters of the session, sent when a connection opens. A pooler refuses those that it does not know. */
  readonly sessionParameters?: Readonly<Record<string, string | number>>;
  /** See `answer-watch.ts`. */
  readonly answerLimitMs?: number | undefined;
  /** Shared with other drivers of the same server; one of its own unless given. */
  readonly activity?: BackendActivity;
  /** Called for each connection that was given up, because no answer comes. */
  readonly onDead?: ((dead: DeadConnection) => void) | undefined;
  /** Options of the driver that only some callers need. */
  readonly driver?: Omit<postgres.Options<typeof columnTypes>, 'max' | 'connection' | 'types'>;
}

/** Opens nothing yet: a connection opens with its first query. Throws an Error if the driver is not the pinned one. */
export function openDriver(url: string | null, options: DriverOptions): Driver {
  const activity = options.activity ?? openActivity(url, options);
  const onDead = (dead: DeadConnection) => {
    options.onDead?.(dead);
    for (const listener of deadListeners.get(url) ?? []) listener(dead);
  };
  const watch = createAnswerWatch({ activity, limitMs: options.answerLimitMs, onDead });
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
    async end(how?: { readonly timeout: number }) {
      if (activity !== options.activity) activity.close();
      await driver.end(how);
      // What was said last is on its way; a dead connection would keep its socket for a quarter of an hour.
      setTimeout(sockets.destroyAll, lastWordsMs).unref();
    },
  });
}

const lastWordsMs = 500;

/** By URL. */
const deadListeners = new Map<string | null, Set<(dead: DeadConnection) => void>>();

/**
 * Calls `listener` for each dead connection of this thread to `url`, whichever driver it belongs to: the session of a
 * runner and the pool beside it lose their path together. Returns what ends that.
 */
export function listenForDead(url: string | null, listener: (dead: DeadConnection) => void): () => void {
  const listeners = deadListeners.get(url) ?? new Set();
  deadListeners.set(url, listeners.add(listener));
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) deadListeners.delete(url);
  };
}

/** How it is found out what the backends of connections do. The drivers of a pool share it. */
export function openActivity(url: string | null, { applicationName }: { readonly applicationName: string }) {
  return createBackendActivity(() => {
    const sockets = createDriverSockets(() => {});
    // Closed soon, because a connection that was open when the network failed is as dead as the one it is asked about.
    const own = { max: 1, idle_timeout: 1, connect_timeout: 2, prepare: false };
    const sql = connect(url, sockets, own, { application_name: applicationName });
    const destroy = () => {
      void sql.end({ timeout: 0 });
      sockets.destroyAll();
    };
    return { sql, destroy };
  });
}

function connect(
  url: string | null,
  sockets: DriverSockets,
  own: postgres.Options<typeof columnTypes>,
  parameters: Readonly<Record<string, string | number>>,
): postgres.Sql<{ int8: number }> {
  // Widened, because the driver's types know of one host only, and of no sockets.
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
