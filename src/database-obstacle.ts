import { connectDatabase, type Database } from './db/database.ts';
import { describeUnavailable, isUnavailable } from './db/database-error.ts';
import { pendingMigrations } from './db/migrate.ts';
import { AppError } from './errors.ts';
import type { Logger } from './observability/logger.ts';

const patienceSeconds = 5;

/** Opens one connection, to ask whether the database can be worked with. Close it after that. */
export function openProbe(url: string, log: Logger): Database {
  return connectDatabase({
    url,
    poolSize: 1,
    statementTimeoutMs: patienceSeconds * 1000,
    connectTimeoutSeconds: patienceSeconds,
    slowQueryMs: patienceSeconds * 1000,
    echo: false,
    log,
    applicationName: 'strata probe',
  });
}

/** Why the database cannot be worked with at present, as a sentence; undefined if it can. */
export async function findObstacle(database: Database): Promise<string | undefined> {
  try {
    await database.ping(patienceSeconds * 1000);
    return await findPending(database);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (isUnavailable(error)) return describeUnavailable(error);
    return `The database cannot be worked with: ${error.message}`;
  }
}

/** A sentence on migrations that are pending; undefined if there are none. Rejects with the errors of the database. */
export async function findPending({ sql }: Database): Promise<string | undefined> {
  const { length } = await pendingMigrations(sql);
  return length === 0 ? undefined : `${length} migrations are pending; run \`npm run migrate -- up\`.`;
}
