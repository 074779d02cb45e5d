/**
 * `npm run openapi`: prints the OpenAPI document of the server that the same environment would start, whether or not
 * that server would publish it. Opens no database and no socket. Ends with code 1 and every fault on standard error
 * if the settings are wrong.
 */

import { connectDatabase } from '../db/database.ts';
import { StartError } from '../errors.ts';
import { createLogger } from '../observability/logger.ts';
import { createRoutes, describeRoutes } from '../routes.ts';
import { loadSettings } from '../settings/load.ts';

try {
  const { settings } = loadSettings();
  const document = describeRoutes(settings, createRoutes({ settings, ...unusedParts() }));
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** Routes are made with what their handlers need; no handler runs here, so it is a database that is none. */
function unusedParts() {
  const log = createLogger({ level: 'CRITICAL', destination: { write() {}, flush: async () => {} } });
  const database = connectDatabase({
    url: null,
    poolSize: 1,
    statementTimeoutMs: 0,
    connectTimeoutSeconds: 1,
    slowQueryMs: 0,
    echo: false,
    log,
    applicationName: 'openapi',
  });
  return { log, database };
}
