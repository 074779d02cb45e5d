import { join } from 'node:path';
import { findRunningEmbedded, startEmbedded } from '../db/embedded/embedded.ts';
import { StartError } from '../errors.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import type { Settings } from '../settings/load.ts';

/**
 * Logs warnings and errors to standard error, for the person who runs the command. A database that cannot be reached is left
 * to the sentence with which the command fails.
 */
export const commandLog: Logger = createLogger({
  level: 'WARNING',
  destination: {
    write(line) {
      if (!line.includes('"event":"database.unavailable"')) process.stderr.write(line);
    },
    flush: () => Promise.resolve(),
  },
});

/**
 * Calls `work` with the URL of the database of the settings. The embedded database is started for the duration of the
 * work, unless a server is already running it. Rejects with a StartError if no database is configured.
 */
export async function withDatabaseUrl<T>(
  { application }: Settings,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { databaseKind, databaseUrl, dataDir } = application;
  if (databaseKind === 'none') {
    throw new StartError(
      'This command needs a database, but APP_DATABASE_URL is none: set it to embedded or to the URL of a PostgreSQL server.',
    );
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
