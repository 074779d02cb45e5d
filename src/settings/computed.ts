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
