/**
 * Starts the built program as `src/main.ts` does: production settings, every layer on. What differs from the defaults
 * stands here: names that production must be given, and a limit that the load does not reach.
 */

import { openLogDestination } from '../../../dist/observability/log-destination.js';
import { createLogger } from '../../../dist/observability/logger.js';
import { loadSettings } from '../../../dist/settings/load.js';
import { startServer } from '../../../dist/start.js';
import { databaseUrl, host, jwtSecret, limit, origin, poolSize, port } from '../environment.mjs';

export function serve(extraRoutes, { disabledLayers = [] } = {}) {
  const { settings } = loadSettings({
    envFile: null,
    env: {
      APP_ENVIRONMENT: 'production',
      APP_HOST: host,
      APP_PORT: String(port),
      APP_ALLOWED_HOSTS: host,
      APP_CORS_ALLOW_ORIGINS: origin,
      APP_DATABASE_URL: databaseUrl ?? 'none',
      APP_DATABASE_POOL_SIZE: String(poolSize),
      APP_DISABLED_LAYERS: JSON.stringify(disabledLayers),
      SECURITY_JWT_SECRET: jwtSecret,
      SECURITY_RATE_LIMIT_PER_MINUTE: String(limit),
      SECURITY_RATE_LIMIT_PER_HOUR: String(limit),
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_RATE_LIMIT_USER_PER_MINUTE: String(limit),
    },
  });
  const { application } = settings;
  const log = createLogger({
    level: application.logLevel,
    destination: openLogDestination(application.logFormat),
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
  });
  return startServer({ settings, log, extraRoutes });
}
