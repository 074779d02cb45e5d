import { connectDatabase, type Database, type DatabaseOptions } from '../../db/database.ts';
import type { Settings } from '../../settings/load.ts';

interface ConnectOptions
  extends Pick<DatabaseOptions, 'url' | 'log' | 'poolSize' | 'maxWaiting' | 'maxWaitMs' | 'createCircuit'> {
  /** The part of the program, added to the application name in `pg_stat_activity`; none for requests. */
  readonly part?: string;
}

/** Opens a pool with the timeouts and the logging of the settings, without connecting. */
export function connectFromSettings(
  { application }: Settings,
  { part, ...options }: ConnectOptions,
): Database {
  const { projectName } = application;
  return connectDatabase({
    ...options,
    statementTimeoutMs: application.databaseStatementTimeoutMs,
    connectTimeoutSeconds: application.databaseConnectTimeoutSeconds,
    slowQueryMs: application.databaseSlowQueryMs,
    echo: application.databaseEcho,
    applicationName: part === undefined ? projectName : `${projectName} ${part}`,
  });
}
