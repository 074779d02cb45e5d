import { findManagementPort } from './groups/management.ts';
import type { SettingsValues } from './table.ts';

/** Which database it is: one that the program starts itself, a server elsewhere, or none. */
export type DatabaseKind = 'embedded' | 'postgres' | 'none';

/** What follows from the application's settings, so that no other part decides it again in its own way. */
export function computeApplication(application: SettingsValues['application']) {
  const { environment, databaseUrl, databaseMigrate } = application;
  const servesDocs = environment === 'local' || environment === 'staging';
  const databaseKind: DatabaseKind =
    databaseUrl === 'embedded' || databaseUrl === 'none' ? databaseUrl : 'postgres';
  const migratesByItself = environment === 'local' || environment === 'test' || databaseKind === 'embedded';
  return {
    isProduction: environment === 'production',
    /** Path of the page that shows the API, or null where it is not served; the same for the next two. */
    docsUrl: servesDocs ? '/docs' : null,
    redocUrl: servesDocs ? '/redoc' : null,
    openapiUrl: servesDocs ? '/openapi.json' : null,
    databaseKind,
    /** Whether the start applies pending migrations before it listens. */
    migrateAtStart:
      databaseKind !== 'none' && (databaseMigrate === 'auto' ? migratesByItself : databaseMigrate),
  };
}

/**
 * What follows from the settings of security: one list of secrets, whichever of the two variables has them, and what is
 * done about plain HTTP. Of the scheme only a trusted proxy can tell.
 */
export function computeSecurity({ security: { jwtSecret, ...security }, application }: SettingsValues) {
  const { jwtSecrets, trustProxyHeaders } = security;
  const isOn = (value: 'auto' | boolean) =>
    trustProxyHeaders && (value === 'auto' ? application.environment === 'production' : value);
  /** The secrets of access tokens: the first signs, all verify. Empty if none is set. */
  return {
    ...security,
    enableHsts: isOn(security.enableHsts),
    enforceHttps: isOn(security.enforceHttps),
    jwtSecrets: jwtSecret === '' || jwtSecrets.length > 0 ? jwtSecrets : Object.freeze([jwtSecret]),
  };
}

/** What follows from the settings of jobs: none run where there is no database to keep them in. */
export function computeTasks({ tasks, application }: SettingsValues) {
  return { ...tasks, enabled: tasks.enabled && application.databaseUrl !== 'none' };
}

/** What follows from the settings of the server: where, and whether, the management port is opened. */
export function computeServer({ server, application }: SettingsValues) {
  return {
    ...server,
    management: findManagementPort(server.managementPort, application.environment),
  };
}
