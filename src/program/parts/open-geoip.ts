import cluster from 'node:cluster';
import { join } from 'node:path';
import { StartError } from '../../errors.ts';
import { openCountryDatabase } from '../../geoip/country-database.ts';
import { type CountryFinder, openCountryFinder } from '../../geoip/country-finder.ts';
import { DatabaseInvalid } from '../../geoip/database-check.ts';
import { observeCountryDatabase } from '../../geoip/database-metrics.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';

const closeMs = 1_000;

/** Opens the database of countries that the settings enable; undefined if they enable none. Rejects with a StartError. */
export async function openGeoip(
  { application, security }: Settings,
  log: Logger,
  metrics: Metrics,
  lifecycle: Lifecycle,
): Promise<CountryFinder | undefined> {
  if (!security.enableGeoBlocking) return undefined;
  const path = security.geoipDatabasePath;
  // A worker that replaces another one must not fail for a file that the others have rejected.
  const copyPath = join(application.dataDir, 'geoip', 'in-use.mmdb');
  const options = { path, copyPath, mayUseCopy: cluster.isWorker, log: log.named('geoip') };
  const countries = await lifecycle.open(
    'countries',
    () => openCountryFinder(options).catch((error) => failStart(path, error)),
    (opened) => opened.stop(),
    closeMs,
  );
  observeCountryDatabase(metrics, countries.builtAt);
  return countries;
}

/** Checks the database once, in the primary, so that a bad one stops the start before workers are forked. */
export async function assertGeoipUsable({ security }: Settings): Promise<void> {
  if (!security.enableGeoBlocking) return;
  const path = security.geoipDatabasePath;
  await openCountryDatabase(path).catch((error) => failStart(path, error));
}

function failStart(path: string, error: unknown): never {
  if (!(error instanceof DatabaseInvalid)) throw error;
  throw new StartError(
    `SECURITY_GEOIP_DATABASE_PATH names ${path}, which ${error.message}; replace the file, or set SECURITY_ENABLE_GEO_BLOCKING=false.`,
    { cause: error },
  );
}
