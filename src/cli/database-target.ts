import { join } from 'node:path';
import { findRunningEmbedded, startEmbedded } from '../db/embedded/embedded.ts';
import { StartError } from '../errors.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import type { Settings } from '../settings/load.ts';

/** What goes wrong beside a command itself, such as a database that ends, is for the eyes of a person here. */
export const commandLog: Logger = createLogger({
  level: 'WARNING',
  destination: { write: (line) => void process.stderr.write(line), flush: () => Promise.resolve() },
});

/**
 * Calls `work` with the URL of the database of the settings, running: the embedded one is used where a server holds it
 * already, and else started for the length of the work. Throws a StartError if there is none.
 */
export async function withDatabaseUrl<T>(
  { application }: Settings,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { databaseKind, databaseUrl, dataDir } = application;
  if (databaseKind === 'none') {
    throw new StartError('There is no database: set APP_DATABASE_URL to something else than none.');
  }
  if (databaseKind !== 'embedded') return work(databaseUrl);

  const folder = join(dataDir, 'postgres');
  const running = await findRunningEmbedded(folder);
  if (running !== undefined) return work(running);
  const embedded = await startEmbedded({ dataDir: folder, log: commandLog });
  try {
    return await work(embedded.url);
  } finally {
    await embedded.stop();
  }
}
