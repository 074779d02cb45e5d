/**
 * The entry file of each thread that runs tasks (the code of the thread is in `jobs/thread/run-tasks.ts`); `start-jobs.ts` starts them. Each thread has its own log, whose lines the
 * process writes, a mailer, and two database connections, which open when a task first needs them.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { createTasks } from '../declarations.ts';
import { runTasks } from '../jobs/thread/run-tasks.ts';
import { createThreadLog } from '../jobs/thread/thread-log.ts';
import { logNodeWarnings } from '../observability/log/node-warnings.ts';
import type { Settings } from '../settings/load.ts';
import { connectFromSettings } from './parts/connect-from-settings.ts';
import { openHttpClient } from './parts/open-http-client.ts';
import { chooseGuardedMailer } from './parts/open-mail.ts';

/** The data that a process passes to a thread. It is plain data. */
export interface TaskThreadData {
  readonly settings: Settings;
  readonly databaseUrl: string;
}

const closeSeconds = 0.4;

if (parentPort === null) {
  throw new Error('This file runs in a thread. Start `npm run worker`, which starts the threads.');
}
const port = parentPort;
const { settings, databaseUrl }: TaskThreadData = workerData;
const { application } = settings;

const log = createThreadLog((message) => port.postMessage(message), {
  level: application.logLevel,
  includeCaller: application.logIncludeCaller,
  base: { service: application.projectName, environment: application.environment },
});
logNodeWarnings(log);
const database = connectFromSettings(settings, {
  url: databaseUrl,
  poolSize: 2,
  log: log.named('database'),
  part: 'jobs',
});
const httpClient = openHttpClient({ settings, log });
const mailer = await chooseGuardedMailer(settings, log.named('mail'));

runTasks({
  port,
  tasks: createTasks({ settings, database, mailer, httpClient }),
  database,
  log: log.named('tasks'),
  async close() {
    httpClient.close();
    await Promise.all([database.close(closeSeconds), mailer?.close()]);
  },
});
