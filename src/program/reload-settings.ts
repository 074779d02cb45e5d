/**
 * The settings of a reload. The workers read theirs anew at their start; here the primary finds out before whether
 * they can be read, so that a mistake in them ends no worker, and what of them takes effect only with a restart.
 */

import { migrateUp } from '../db/migrations/migrate.ts';
import type { Logger } from '../observability/logger.ts';
import { loadSettings, type Settings, type SettingsSource } from '../settings/load.ts';

export interface RenewalOptions {
  /** The settings that the primary was started with. */
  readonly atStart: Settings;
  readonly source: SettingsSource;
  /** The database that the primary made ready; null for none. */
  readonly databaseUrl: string | null;
  readonly log: Logger;
}

/** What the primary has opened, or uses itself, and keeps until it ends. */
const fixed = new Map<string, (settings: Settings) => unknown>([
  ['APP_DATABASE_URL', ({ application }) => application.databaseUrl],
  ['APP_DATA_DIR', ({ application }) => application.dataDir],
  ['APP_LOG_FORMAT', ({ application }) => application.logFormat],
  ['APP_TASKS_ENABLED', ({ tasks }) => tasks.enabled],
  ['APP_MANAGEMENT_PORT', ({ server }) => JSON.stringify(server.management)],
  ['APP_MANAGEMENT_HOST', ({ server }) => server.managementHost],
  ['APP_MANAGEMENT_ALLOWED_HOSTS', ({ server }) => JSON.stringify(server.managementAllowedHosts)],
  ['APP_MANAGEMENT_TOKEN', ({ server }) => server.managementToken],
  ['SECURITY_RATE_LIMIT_MAX_CLIENTS', ({ security }) => security.rateLimitMaxClients],
]);

/** Loads the settings, and migrates if they say so. Rejects with a StartError for what must not be reloaded. */
export async function renewSettings({
  atStart,
  source,
  databaseUrl,
  log,
}: RenewalOptions): Promise<Settings> {
  const { settings, warnings } = loadSettings(source);
  const changed = [...fixed].filter(([, of]) => of(settings) !== of(atStart)).map(([name]) => name);
  for (const advice of [...warnings, ...changed.map(needsRestart)]) log.warning('config.warning', { advice });
  if (settings.application.migrateAtStart && databaseUrl !== null) {
    await migrateUp({ url: databaseUrl, log: log.named('migrations') });
  }
  return settings;
}

function needsRestart(name: string): string {
  return `${name} has changed, which takes effect with a restart only: the reload goes on with its former value where the primary uses it.`;
}
