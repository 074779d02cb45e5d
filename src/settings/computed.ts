import { findManagementPort } from './groups/management.ts';
import { type FoundText, nameOrigin } from './sources.ts';
import type { SettingsValues } from './table.ts';

/** The kind of database: one that the program starts itself, an external server, or none. */
export type DatabaseKind = 'embedded' | 'postgres' | 'none';

/** Computes what follows from the application's settings, so that it is decided in one place. */
export function computeApplication(
  application: SettingsValues['application'],
  { alias, origin, file }: FoundText,
) {
  const { environment, databaseUrl, databaseMigrate } = application;
  const servesDocs = environment === 'local' || environment === 'staging';
  const databaseKind: DatabaseKind =
    databaseUrl === 'embedded' || databaseUrl === 'none' ? databaseUrl : 'postgres';
  const migratesByItself = environment === 'local' || environment === 'test' || databaseKind === 'embedded';
  const isExported = origin === 'environment' && alias !== undefined;
  return {
    isProduction: environment === 'production',
    /** Path of the docs page, or null if it is not served; the same applies to the next two. */
    docsUrl: servesDocs ? '/docs' : null,
    redocUrl: servesDocs ? '/redoc' : null,
    openapiUrl: servesDocs ? '/openapi.json' : null,
    databaseKind,
    /** The variable that names the database, and where it is set: `DATABASE_URL in the environment`. */
    databaseNamedBy: `${file?.variable ?? alias ?? 'APP_DATABASE_URL'} ${nameOrigin(origin)}`,
    /**
     * Whether the start may create its tables in an empty database. Tools of other projects read `DATABASE_URL` too, so
     * that name in the environment of a developer's shell is not enough.
     */
    adoptsEmptyDatabase: environment !== 'local' || !isExported || databaseMigrate === true,
    /** Whether the start applies pending migrations before it listens. */
    migrateAtStart:
      databaseKind !== 'none' && (databaseMigrate === 'auto' ? migratesByItself : databaseMigrate),
  };
}

/**
 * Computes what follows from the security settings: one list of secrets from the two variables, the store of the rate
 * limit, and whether HTTPS is enforced. Both HTTPS settings need a trusted proxy, because only the proxy knows the scheme of a request.
 */
export function computeSecurity({ security: { jwtSecret, ...security }, application }: SettingsValues) {
  const { jwtSecrets, trustProxyHeaders } = security;
  const isOn = (value: 'auto' | boolean) =>
    trustProxyHeaders && (value === 'auto' ? application.environment === 'production' : value);
  /** `jwtSecrets`: the first secret signs access tokens, all verify them. Empty if none is set. */
  return {
    ...security,
    rateLimitStore: rateLimitStoreOf(security),
    allowsUnknownCountries:
      security.unknownCountries === 'auto'
        ? security.allowedCountries.length === 0
        : security.unknownCountries === 'allow',
    enableHsts: isOn(security.enableHsts),
    enforceHttps: isOn(security.enforceHttps),
    jwtSecrets: jwtSecret === '' || jwtSecrets.length > 0 ? jwtSecrets : Object.freeze([jwtSecret]),
  };
}

function rateLimitStoreOf({
  rateLimitStore,
  redisEnabled,
}: Pick<SettingsValues['security'], 'rateLimitStore' | 'redisEnabled'>): 'memory' | 'redis' | 'postgres' {
  if (rateLimitStore !== 'auto') return rateLimitStore;
  return redisEnabled ? 'redis' : 'memory';
}

/** Computes what follows from the settings of jobs: without a database to store them, no jobs run. */
export function computeTasks({ tasks, application }: SettingsValues) {
  return { ...tasks, enabled: tasks.enabled && application.databaseUrl !== 'none' };
}

/** Computes what follows from the settings of the server: whether and where the management port is opened. */
export function computeServer({ server, application }: SettingsValues) {
  return {
    ...server,
    management: findManagementPort(server.managementPort, application.environment),
  };
}
