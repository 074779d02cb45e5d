/** A thread as `src/task-thread.ts` opens it, with the two tasks of the benchmark. */

import { parentPort, workerData } from 'node:worker_threads';
import { connectDatabase } from '../../dist/db/database.js';
import { implementTask } from '../../dist/jobs/task.js';
import { runTasks } from '../../dist/jobs/thread.js';
import { createThreadLog } from '../../dist/jobs/thread-log.js';
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
