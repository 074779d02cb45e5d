import { connectDatabase, type Database } from '../../db/database.ts';
import { describeUnavailable, isUnavailable, sqlState } from '../../db/database-error.ts';
import { pendingMigrations } from '../../db/migrations/migrate.ts';
import type { Sql } from '../../db/sql.ts';
import { findUnsuitability } from '../../db/suitability.ts';
import { AppError, reasonOf, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';

const timeoutSeconds = 5;

/** Opens a connection for checks of the database. The caller closes it. */
export function openProbe(url: string, log: Logger): Database {
  return connectDatabase({
    url,
    statementTimeoutMs: timeoutSeconds * 1000,
    connectTimeoutSeconds: timeoutSeconds,
    log,
    applicationName: 'strata probe',
  });
}

/** Resolves with a sentence on why the database is not usable at present; undefined if it is. */
export async function findDatabaseProblem(database: Database): Promise<string | undefined> {
  try {
    await database.ping(timeoutSeconds * 1000);
    return (await findUnsuitability(database.sql))?.sentence ?? (await findPending(database.sql));
  } catch (error) {
    if (error instanceof StartError) return error.message;
    if (!(error instanceof AppError) && sqlState(error) === undefined) throw error;
    if (error instanceof AppError && isUnavailable(error)) return describeUnavailable(error);
    return `The database is not usable: ${reasonOf(error)}.`;
  }
}

/**
 * Rejects with a StartError if the database is permanently unsuitable, as one with another encoding. A database that is
 * unavailable or read-only may recover, and readiness waits for it.
 */
export async function assertDatabaseSuitable(url: string, log: Logger): Promise<void> {
  const probe = openProbe(url, log);
  try {
    const unsuitability = await findUnsuitability(probe.sql);
    if (unsuitability?.isTemporary === false) throw new StartError(unsuitability.sentence);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
  } finally {
    await probe.close(1);
  }
}

/** Resolves with a sentence on pending migrations; undefined if there are none. Rejects with errors of the database. */
export async function findPending(sql: Sql): Promise<string | undefined> {
  const pending = await pendingMigrations(sql);
  return pending.length === 0 ? undefined : describePending(pending);
}

export function describePending({ length }: readonly string[]): string {
  return `${length === 1 ? '1 migration is' : `${length} migrations are`} pending; run \`npm run migrate -- up\`.`;
}
