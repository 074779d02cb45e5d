import type { TestContext } from 'node:test';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { startJobs } from '../../src/program/start-jobs.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { captureLog } from './captured-log.ts';
import { mustMakeFolder } from './program.ts';
import { testSecret } from './test-secret.ts';

/** Runs jobs in this process, with one real thread, until the end of the test. */
export async function mustStartJobs(
  t: Pick<TestContext, 'after'>,
  databaseUrl: string,
  pruneEveryMs?: number,
) {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'test',
      SECURITY_JWT_SECRET: testSecret,
      APP_DATA_DIR: await mustMakeFolder(t),
      APP_TASKS_THREADS: '1',
    },
    envFile: null,
  });
  const { log, of } = captureLog();
  const jobs = await startJobs({
    ...{ settings, databaseUrl, log, metrics: createMetrics() },
    ...(pruneEveryMs !== undefined && { pruneEveryMs }),
  });
  t.after(() => jobs.stop(0));
  return { ...jobs, of };
}
