import type { Database } from '../../db/database.ts';
import { findUnsuitability } from '../../db/suitability.ts';
import { AppError } from '../../errors.ts';
import type { HealthCheck } from '../../features/health/health.ts';
import { findPending } from './database-check.ts';

export interface HealthCheckOptions {
  readonly database: Database;
  /** Whether there is a database. Without one its checks are reported as disabled. */
  readonly hasDatabase: boolean;
  readonly isDraining: () => boolean;
}

/** How long readiness waits for the database: probes have short deadlines of their own. */
const readinessMs = 2000;

/** Returns the checks of the server's readiness. */
export function healthChecks({ database, hasDatabase, isDraining }: HealthCheckOptions): HealthCheck[] {
  const server: HealthCheck = {
    name: 'server',
    required: true,
    async run() {
      if (isDraining()) throw new AppError('shutting_down', 'The server is stopping.');
    },
  };
  if (!hasDatabase) {
    const disabled = { required: false, run: undefined };
    return [server, { name: 'database', ...disabled }, { name: 'migrations', ...disabled }];
  }
  // The set of migrations is fixed for this process, so 'none pending' is cached until it exits.
  let isMigrated = false;
  return [
    server,
    {
      name: 'database',
      required: true,
      async run() {
        await database.ping(readinessMs);
        const unsuitability = await findUnsuitability(database.probe);
        if (unsuitability !== undefined) throw new AppError('not_ready', unsuitability.sentence);
      },
    },
    {
      name: 'migrations',
      required: true,
      async run() {
        if (isMigrated) return;
        const pending = await findPending(database.probe);
        if (pending !== undefined) throw new AppError('not_ready', pending);
        isMigrated = true;
      },
    },
  ];
}
