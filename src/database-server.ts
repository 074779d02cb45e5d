import { join } from 'node:path';
import { startEmbedded } from './db/embedded.ts';
import { migrateUp } from './db/migrate.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Logger } from './observability/logger.ts';
import type { Settings } from './settings/load.ts';

/** Stopping PostgreSQL writes a checkpoint, which can take a while on a slow disk. */
const stopDeadlineMs = 15_000;

/**
 * Makes sure that there is a database to connect to: starts the embedded PostgreSQL if the settings ask for it, and
 * applies pending migrations if they say so. Returns the URL, or null for `none`. Runs once, in the process that
 * supervises; workers get the URL. Throws a StartError.
 */
export async function openDatabaseServer(
  settings: Settings,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<string | null> {
  const { databaseKind, databaseUrl, dataDir, migrateAtStart } = settings.application;
  if (databaseKind === 'none') return null;
  let url = databaseUrl;
  if (databaseKind === 'embedded') {
    const embedded = await lifecycle.open(
      'embedded PostgreSQL',
      () => startEmbedded({ dataDir: join(dataDir, 'postgres'), log: log.named('postgres') }),
      (started) => started.stop(),
      stopDeadlineMs,
    );
    url = embedded.url;
  }
  if (migrateAtStart) await migrateUp({ url, log: log.named('migrations') });
  return url;
}
