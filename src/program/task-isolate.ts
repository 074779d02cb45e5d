/**
 * The entry of each process in which a suspect runs alone; `start-jobs.ts` starts them. What threads work with comes as
 * the first message, since settings of the command line and secrets do not belong into arguments.
 */

import { extname } from 'node:path';
import { runIsolated } from '../jobs/thread/isolated-process.ts';
import type { TaskThreadData } from './task-thread.ts';

const threadEntry = new URL(`./task-thread${extname(import.meta.url)}`, import.meta.url);

process.once('message', (workerData: TaskThreadData) => {
  const { application, tasks } = workerData.settings;
  runIsolated({
    entry: threadEntry,
    workerData,
    memoryMb: tasks.threadMemoryMb,
    log: {
      level: application.logLevel,
      includeCaller: application.logIncludeCaller,
      base: { service: application.projectName, environment: application.environment },
    },
  });
});
