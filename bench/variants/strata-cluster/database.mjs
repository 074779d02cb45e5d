import { connectDatabase } from '../../../src/db/database.ts';
import { openLogDestination } from '../../../src/observability/log/log-destination.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { loadSettings } from '../../../src/settings/load.ts';

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
      destination: openLogDestination('json'),
      includeCaller: application.logIncludeCaller,
    }),
  });
}
