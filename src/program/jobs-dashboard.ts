import { connectDatabase, type Database } from '../db/database.ts';
import { createQueue } from '../jobs/queue.ts';
import type { JobsSource } from '../management/jobs/routes.ts';
import type { Logger } from '../observability/logger.ts';
import type { Settings } from '../settings/load.ts';
import type { Lifecycle } from './lifecycle.ts';

export interface Dashboard {
  /** What the pages of the jobs on the management port show. */
  readonly source: JobsSource;
  /** Says where the database is, null for none. Connections to it open when somebody looks, and close with `lifecycle`. */
  open(databaseUrl: string | null, lifecycle: Lifecycle): Promise<void>;
}

/** What one look may take of the database, so that many looks take little from those who work. */
const limits = { poolSize: 2, statementTimeoutMs: 2_000, connectTimeoutSeconds: 2, slowQueryMs: 2_000 };
const closeMs = 2_000;

/** Makes the source of the pages before it is known where the database is: the management port opens first. */
export function createDashboard({ application }: Settings, log: Logger): Dashboard {
  let database: Database | null | undefined;
  return {
    // Retrying and cancelling ask nothing of the tasks, whose code therefore stays out of this process.
    source: { database: () => database, queue: createQueue({ definitions: [] }) },
    async open(url, lifecycle) {
      if (url === null) {
        database = null;
        return;
      }
      database = await lifecycle.open(
        'dashboard',
        async () =>
          connectDatabase({
            ...limits,
            url,
            echo: false,
            log: log.named('dashboard'),
            applicationName: `${application.projectName} dashboard`,
          }),
        (opened) => opened.close(closeMs / 1000 - 1),
        closeMs,
      );
    },
  };
}
