/** A thread as `src/program/thread-entry.ts` opens it, with the two tasks of the benchmark. */

import { parentPort, workerData } from 'node:worker_threads';
import { connectDatabase } from '../../src/db/database.ts';
import { implementTask } from '../../src/jobs/task.ts';
import { runTasks } from '../../src/jobs/thread/run-tasks.ts';
import { createThreadLog } from '../../src/jobs/thread/thread-log.ts';
import { now } from './clock.mjs';
import { noop, stamp } from './strata-tasks.mjs';

const log = createThreadLog((message) => parentPort.postMessage(message), { level: 'INFO' });
const database = connectDatabase({
  url: workerData.databaseUrl,
  poolSize: 2,
  statementTimeoutMs: 10_000,
  connectTimeoutSeconds: 5,
  slowQueryMs: 1_000,
  echo: false,
  log,
  applicationName: 'bench',
});

runTasks({
  port: parentPort,
  tasks: [implementTask(noop, () => {}), implementTask(stamp, () => now())],
  database,
  log,
  close: () => database.close(1),
});
