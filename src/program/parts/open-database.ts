import { join } from 'node:path';
import { findRunningEmbedded, startEmbedded } from '../../db/embedded/embedded.ts';
import { type MigrateOptions, migrateUp } from '../../db/migrations/migrate.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { assertDatabaseSuitable, openProbe } from './database-check.ts';

/** Stopping PostgreSQL writes a checkpoint, which can take a while on a slow disk. */
const stopDeadlineMs = 15_000;

/** How long the PostgreSQL of another process may take to answer. It may be starting. */
const pingTimeoutMs = 10_000;

/**
 * Prepares the database: starts the embedded PostgreSQL and applies pending migrations, as the settings require. Resolves
 * with the URL, or null for `none`. Call it once, in the supervisor, which sends the URL to its children. With `shares`, an
 * embedded PostgreSQL that another process of ours runs is used; `opened` is the URL of one that the supervisor of this
 * process runs. Rejects with a StartError.
 */
export async function openDatabaseServer(
  settings: Settings,
  log: Logger,
  lifecycle: Lifecycle,
  { shares = false, opened }: { readonly shares?: boolean; readonly opened?: string | null } = {},
): Promise<string | null> {
  const { databaseKind, databaseUrl, dataDir, migrateAtStart } = settings.application;
  if (databaseKind === 'none') return null;
  let url = databaseUrl;
  if (databaseKind === 'embedded') {
    const folder = join(dataDir, 'postgres');
    const running = shares ? await findAnswering(folder, log) : opened;
    url = running ?? (await openEmbedded(folder, log, lifecycle));
  }
  // migrateUp checks the database too.
  if (migrateAtStart) await migrateUp(migrationOptions(settings, url, log));
  else await assertDatabaseSuitable(url, log.named('database'));
  return url;
}

/** Returns how the program itself migrates the database at this URL: never one that may belong to another program. */
export function migrationOptions({ application }: Settings, url: string, log: Logger): MigrateOptions {
  const { adoptsEmptyDatabase, databaseKind, databaseNamedBy: namedBy } = application;
  const adopts = databaseKind === 'embedded' ? 'any' : adoptsEmptyDatabase ? 'empty' : 'none';
  return { url, log: log.named('migrations'), adopts, namedBy };
}

/** Starts the embedded PostgreSQL, and resolves with its URL. */
export async function openEmbedded(dataDir: string, log: Logger, lifecycle: Lifecycle): Promise<string> {
  const embedded = await lifecycle.open(
    'embedded PostgreSQL',
    () => startEmbedded({ dataDir, log: log.named('postgres') }),
    (started) => started.stop(),
    stopDeadlineMs,
  );
  return embedded.url;
}

/** Resolves with the URL of the PostgreSQL that runs in the folder; undefined if none answers. */
async function findAnswering(folder: string, log: Logger): Promise<string | undefined> {
  const url = await findRunningEmbedded(folder);
  if (url === undefined) return undefined;
  const probe = openProbe(url, log.named('postgres'));
  try {
    await probe.ping(pingTimeoutMs);
    return url;
  } catch {
    return undefined;
  } finally {
    await probe.close(1);
  }
}
