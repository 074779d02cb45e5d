import {
  databaseUrl,
  host,
  jwtAudience,
  jwtIssuer,
  jwtSecret,
  limit,
  origin,
  poolSize,
  port,
} from '../environment.mjs';

/**
 * The environment of the measured program: production, every layer on. Only differences from the defaults are listed: names
 * and secrets that production must be given, and limits that the load does not reach.
 */
export function environment(disabledLayers = []) {
  return {
    APP_ENVIRONMENT: 'production',
    APP_HOST: host,
    APP_PORT: String(port),
    // Any free one: two clusters may be measured beside each other.
    APP_MANAGEMENT_PORT: '0',
    APP_ALLOWED_HOSTS: host,
    APP_CORS_ALLOW_ORIGINS: origin,
    APP_DATABASE_URL: databaseUrl ?? 'none',
    APP_DATABASE_POOL_SIZE: String(poolSize),
    // Jobs run in a process of their own, which answers no requests.
    APP_TASKS_ENABLED: 'false',
    APP_DISABLED_LAYERS: JSON.stringify(disabledLayers),
    SECURITY_JWT_SECRET: jwtSecret,
    SECURITY_JWT_ISSUER: jwtIssuer,
    SECURITY_JWT_AUDIENCE: jwtAudience,
    SECURITY_RATE_LIMIT_PER_MINUTE: String(limit),
    SECURITY_RATE_LIMIT_PER_HOUR: String(limit),
    SECURITY_RATE_LIMIT_BURST: '0',
    SECURITY_RATE_LIMIT_USER_PER_MINUTE: String(limit),
  };
}
