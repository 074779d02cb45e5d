import { connectDatabase, type Database } from '../db/database.ts';
import { createLogger, type Logger } from '../observability/logger.ts';

/**
 * What routes and layers are made with when none of them will run: a log that goes nowhere and a database that is none.
 * For the commands that print what the application declares.
 */
export function unusedParts(): { readonly log: Logger; readonly database: Database } {
  const log = createLogger({ level: 'CRITICAL', destination: { write() {}, flush: async () => {} } });
  const database = connectDatabase({
    url: null,
    poolSize: 1,
    statementTimeoutMs: 0,
    connectTimeoutSeconds: 1,
    slowQueryMs: 0,
    echo: false,
    log,
    applicationName: 'strata',
  });
  return { log, database };
}
