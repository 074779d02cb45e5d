import { connectDatabase, type Database } from '../../db/database.ts';
import { createQueue } from '../../jobs/queue.ts';
import type { JobsSource } from '../../management/jobs/data.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { localToken } from './local-token.ts';

export interface JobsDashboard {
  /** Provides the data of the jobs pages on the management port. */
  readonly source: JobsSource;
  /** Sets the database, null if there is none. Connections open with the first request, and close with `lifecycle`. */
  open(databaseUrl: string | null, lifecycle: Lifecycle): Promise<void>;
}

/** Limits of the dashboard's queries, so that many viewers take little from the jobs and requests. */
const limits = { poolSize: 2, statementTimeoutMs: 2_000, connectTimeoutSeconds: 2, slowQueryMs: 2_000 };
const closeMs = 2_000;

/** Creates the source of the pages. The database is set later, since the management port opens before it. */
export function createJobsDashboard(settings: Settings, log: Logger): JobsDashboard {
  const { application } = settings;
  let database: Database | null | undefined;
  return {
    // Retrying and cancelling need no task definitions, so this process loads no code of tasks.
    source: {
      database: () => database,
      queue: createQueue({ definitions: [] }),
      localToken: localToken(settings),
    },
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
            log: log.named('dashboard'),
            applicationName: `${application.projectName} dashboard`,
          }),
        (opened) => opened.close(closeMs / 1000 - 1),
        closeMs,
      );
    },
  };
}
