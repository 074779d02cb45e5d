/**
 * The settings of a reload. New workers read the settings themselves. The primary reads them first, so that an error in
 * them rejects the reload instead of stopping workers, and so that it can warn about changes that need a restart.
 */

import { join } from 'node:path';
import { migrateUp, pendingMigrations } from '../../db/migrations/migrate.ts';
import { AppError, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { loadSettings, type Settings, type SettingsSource } from '../../settings/load.ts';
import { describePending, openProbe } from '../parts/database-check.ts';
import { logPending } from '../parts/migration-watch.ts';
import { migrationOptions } from '../parts/open-database.ts';

export interface ReloadSettingsOptions {
  /** The settings that the primary was started with. */
  readonly atStart: Settings;
  readonly source: SettingsSource;
  /** The database that the primary has opened; null if there is none. */
  readonly databaseUrl: string | null;
  /** The folder of the release that the new workers run. */
  readonly folder: string;
  readonly log: Logger;
}

/** Settings that the primary uses itself, until it exits. */
const fixed = new Map<string, (settings: Settings) => unknown>([
  ['APP_DATABASE_URL', ({ application }) => application.databaseUrl],
  ['APP_DATA_DIR', ({ application }) => application.dataDir],
  ['APP_LOG_FORMAT', ({ application }) => application.logFormat],
  ['APP_TASKS_ENABLED', ({ tasks }) => tasks.enabled],
  ['APP_MANAGEMENT_PORT', ({ server }) => JSON.stringify(server.management)],
  ['APP_MANAGEMENT_HOST', ({ server }) => server.managementHost],
  ['APP_MANAGEMENT_ALLOWED_HOSTS', ({ server }) => JSON.stringify(server.managementAllowedHosts)],
  ['APP_MANAGEMENT_TOKEN', ({ server }) => server.managementToken],
  ['SECURITY_ENABLE_BAN_LIST', ({ security }) => security.enableBanList],
  [
    'SECURITY_RATE_LIMIT_STORE',
    ({ security }) => (security.enableBanList ? security.rateLimitStore : 'unused by the primary'),
  ],
  ['SECURITY_RATE_LIMIT_MAX_CLIENTS', ({ security }) => security.rateLimitMaxClients],
  ['SECURITY_ENABLE_ALERTING', ({ security }) => security.enableAlerting],
  ['SECURITY_ALERT_WINDOW_SECONDS', ({ security }) => security.alertWindowSeconds],
  ['SECURITY_ALERT_RATE_LIMIT_THRESHOLD', ({ security }) => security.alertRateLimitThreshold],
  ['SECURITY_ALERT_AUTH_FAILURE_THRESHOLD', ({ security }) => security.alertAuthFailureThreshold],
  ['SECURITY_ALERT_ERROR_RATE_PERCENT', ({ security }) => security.alertErrorRatePercent],
  ['SECURITY_ALERT_CIRCUIT_OPEN_SECONDS', ({ security }) => security.alertCircuitOpenSeconds],
  ['SECURITY_ALERT_WORKER_CRASH_THRESHOLD', ({ security }) => security.alertWorkerCrashThreshold],
  ['SECURITY_ALERT_FAILED_JOB_THRESHOLD', ({ security }) => security.alertFailedJobThreshold],
  ['SECURITY_ALERT_DATABASE_AWAY_SECONDS', ({ security }) => security.alertDatabaseAwaySeconds],
  ['SECURITY_ALERT_WEBHOOK_URL', ({ security }) => security.alertWebhookUrl],
  ['SECURITY_ALERT_WEBHOOK_SECRET', ({ security }) => security.alertWebhookSecret],
  ['SECURITY_ALERT_RUNBOOK_URL', ({ security }) => security.alertRunbookUrl],
]);

/**
 * Loads the settings, and migrates if they require it. Rejects with a StartError if the reload cannot continue: also while
 * migrations of the release are pending, because new workers would not be ready, and old ones still are.
 */
export async function reloadSettings({
  atStart,
  source,
  databaseUrl,
  folder,
  log,
}: ReloadSettingsOptions): Promise<Settings> {
  const { settings, warnings } = loadSettings(source);
  const changed = [...fixed].filter(([, of]) => of(settings) !== of(atStart)).map(([name]) => name);
  for (const advice of [...warnings, ...changed.map(needsRestart)]) log.warning('config.warning', { advice });
  if (databaseUrl === null) return settings;
  const directory = join(folder, 'sql');
  if (settings.application.migrateAtStart) {
    await migrateUp({ ...migrationOptions(settings, databaseUrl, log), directory });
  } else await rejectPending(databaseUrl, directory, log);
  return settings;
}

/** Rejects with a StartError if migrations are pending. A database that does not answer does not prevent a reload. */
async function rejectPending(url: string, directory: string, log: Logger): Promise<void> {
  const probe = openProbe(url, log.named('database'));
  try {
    const names = await pendingMigrations(probe.sql, directory);
    if (names.length === 0) return;
    logPending(log, names);
    throw new StartError(describePending(names));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
  } finally {
    await probe.close(1);
  }
}

function needsRestart(name: string): string {
  return `${name} has changed, which takes effect only with a restart. The reload continues; the primary keeps the old value.`;
}
