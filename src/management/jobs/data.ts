/**
 * The common parts of all data routes of the dashboard: the rules of access, the database, the cached overview, and the log
 * line of each change.
 *
 * Queries use at most two connections of their own, which open with the first request. The probes of this port do not depend
 * on them.
 */

import type { Database } from '../../db/database.ts';
import { sqlState } from '../../db/database-error.ts';
import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';
import { createOverviewReader, type OverviewReader } from '../../jobs/admin/overview.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Access, createJobsAccess, type JobsAccessOptions } from './access.ts';

/** The parts of the program that the dashboard needs. */
export interface JobsSource {
  /** Returns the database; undefined while the program starts, null if there is none. */
  database(): Database | null | undefined;
  readonly queue: Pick<Queue, 'find' | 'cancel' | 'retry'>;
  /** The token for changes that a local server has created; it applies if no token is configured. Null if there is none. */
  readonly localToken?: string | null;
}

export interface JobsDataOptions extends JobsAccessOptions {
  readonly source: JobsSource;
  readonly log: Logger;
}

type Fields = Readonly<Record<string, unknown>>;

export interface JobsData {
  readonly queue: JobsSource['queue'];
  /** Runs a read with the permissions of the client. Throws an AppError, also if the database is not migrated. */
  read<Result>(ctx: Context, work: (database: Database, allowed: Access) => Promise<Result>): Promise<Result>;
  /** Runs a change by an operator, logs it with `about`, and invalidates the cached overview. Throws an AppError. */
  change<Result>(
    ctx: Context,
    action: string,
    about: Fields,
    work: (database: Database) => Promise<Result>,
    describe?: (result: Result) => Fields,
  ): Promise<Result>;
  overviewOf(database: Database): OverviewReader;
}

/** The common parts of the declarations of all data routes. */
export const readRoute = { method: 'GET', tags: ['management'], auth: 'own', hidden: true } as const;
export const changeRoute = { ...readRoute, method: 'POST' } as const;
export const dataProblems = ['unauthenticated', 'rate_limited', 'not_ready', 'database_disabled'] as const;
export const done = { 204: { description: 'Done.' } } as const;

export function createJobsData({ source, log, ...rules }: JobsDataOptions): JobsData {
  const access = createJobsAccess(rules);
  const readers = new WeakMap<Database, OverviewReader>();

  function open(): Database {
    const database = source.database();
    if (database === undefined)
      throw new AppError('not_ready', 'The server is starting: the database is not open yet.');
    if (database !== null) return database;
    throw new AppError(
      'database_disabled',
      'There are no jobs without a database: set APP_DATABASE_URL and restart the server.',
    );
  }

  function overviewOf(database: Database): OverviewReader {
    const known = readers.get(database);
    if (known !== undefined) return known;
    const created = createOverviewReader(database);
    readers.set(database, created);
    return created;
  }

  return {
    queue: source.queue,
    overviewOf,
    async read(ctx, work) {
      const allowed = access.toRead(ctx);
      return work(open(), allowed).catch(explain);
    },
    async change(ctx, action, about, work, describe = () => ({})) {
      access.toWrite(ctx);
      const database = open();
      const result = await work(database).catch(explain);
      log.info('job.changed_by_hand', {
        action,
        ...about,
        ...describe(result),
        client_address: ctx.clientAddress,
      });
      overviewOf(database).invalidate();
      return result;
    },
  };
}

/** Throws `not_ready` with the command to run if a table or column is missing. Rethrows any other error. */
function explain(error: unknown): never {
  const code = sqlState(error);
  if (code !== '42P01' && code !== '42703') throw error;
  throw new AppError('not_ready', 'The database is not migrated: run `npm run migrate -- up`.', {
    cause: error,
  });
}
