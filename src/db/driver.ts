/**
 * Opens the driver (postgres.js). Every connection of the program to PostgreSQL is opened here: pools, sessions that
 * hold locks, LISTEN. So every one of them has the repairs of `driver-query.ts`.
 *
 * The package's version is pinned exactly, and a driver of another shape is refused.
 */

import postgres from 'postgres';
import { columnTypes } from './column-types.ts';
import { connectionOptions } from './connection-options.ts';
import { withoutPostgresVariables } from './driver-environment.ts';
import { isDriverQuery, repairQueries } from './driver-query.ts';

/** A pool of the driver's own, or a single connection if `max` is 1. */
export type Driver = postgres.Sql<{ int8: number }>;

/** What a caller may choose. The rest is the same for all connections. */
export interface DriverOptions {
  /** The most connections it opens. */
  readonly max: number;
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  /** Further parameters of the session, sent when a connection opens. A pooler refuses those that it does not know. */
  readonly sessionParameters?: Readonly<Record<string, string | number>>;
  /** Options of the driver that only some callers need. */
  readonly driver?: Omit<postgres.Options<typeof columnTypes>, 'max' | 'connection' | 'types'>;
}

/** Opens nothing yet: a connection opens with its first query. Throws an Error if the driver is not the pinned one. */
export function openDriver(url: string | null, options: DriverOptions): Driver {
  const { max, applicationName, connectTimeoutSeconds, sessionParameters, driver: others } = options;
  // Widened, because the driver's types know of one host only.
  const target: object =
    url === null ? {} : connectionOptions(url, { application_name: applicationName, ...sessionParameters });
  const driverOptions = {
    // One query at a time; the driver's default is 100.
    max_pipeline: 1,
    fetch_types: false,
    onnotice: () => {},
    ...others,
    max,
    types: columnTypes,
    connect_timeout: connectTimeoutSeconds,
    ...target,
  };
  const driver = withoutPostgresVariables(() => postgres(driverOptions));
  const query = driver`select 1`;
  if (!isDriverQuery(query)) {
    throw new Error(
      'The installed version of the package postgres is not the one this program was built for.',
    );
  }
  repairQueries(query);
  return driver;
}
