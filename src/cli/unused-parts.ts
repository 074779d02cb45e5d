import { randomBytes } from 'node:crypto';
import { connectDatabase } from '../db/database.ts';
import { scopes } from '../declarations.ts';
import { createIdentity } from '../features/identity/identity.ts';
import { createLogger } from '../observability/logger.ts';
import { createMetrics } from '../observability/metrics/metrics.ts';
import type { RouteParts } from '../routes.ts';
import type { Settings } from '../settings/load.ts';

/**
 * Creates the parts that routes and layers need although none of them will run: a log without output, a database without
 * a connection, and a random secret. For commands that print the declarations of the application.
 */
export function unusedParts(settings: Settings): RouteParts {
  const log = createLogger({ level: 'CRITICAL', destination: { write() {}, flush: async () => {} } });
  const database = connectDatabase({ url: null, log, applicationName: 'strata' });
  const secrets = [randomBytes(32).toString('hex')];
  return {
    settings,
    log,
    database,
    metrics: createMetrics(),
    identity: createIdentity({
      database,
      log,
      secrets,
      scopes,
      realm: settings.application.projectName,
      security: settings.security,
    }),
  };
}
