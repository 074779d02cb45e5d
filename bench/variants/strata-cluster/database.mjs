import { connectDatabase } from '../../../dist/db/database.js';
import { openLogDestination } from '../../../dist/observability/log-destination.js';
import { createLogger } from '../../../dist/observability/logger.js';
import { loadSettings } from '../../../dist/settings/load.js';

/**
 * A pool for the measured routes of one worker, made as the program makes its own, which it keeps to itself. It opens
 * no connection before the first query.
 */
export function openDatabase() {
  const { application } = loadSettings({ envFile: null }).settings;
  return connectDatabase({
    url: application.databaseUrl,
    poolSize: application.databasePoolSize,
    statementTimeoutMs: application.databaseStatementTimeoutMs,
    connectTimeoutSeconds: application.databaseConnectTimeoutSeconds,
    slowQueryMs: application.databaseSlowQueryMs,
    echo: application.databaseEcho,
    applicationName: application.projectName,
    log: createLogger({
      level: application.logLevel,
      destination: openLogDestination(application.logFormat),
      includeCaller: application.logIncludeCaller,
    }),
  });
}
