/**
 * The entry file of each process that runs one suspect job alone; `start-jobs.ts` starts them. The data for its thread is the
 * first message, since command-line settings and secrets must not appear in the arguments of a process.
 */

import { extname } from 'node:path';
import { runIsolated } from '../jobs/thread/isolated-process.ts';
import { exitProcess } from './exit-process.ts';
import type { TaskThreadData } from './thread-entry.ts';

const threadEntry = new URL(`./thread-entry${extname(import.meta.url)}`, import.meta.url);

/** The exit code of an internal error: EX_SOFTWARE of sysexits.h. */
const exitSoftware = 70;

process.once('message', (workerData: TaskThreadData) => {
  const { application, tasks } = workerData.settings;
  process.title = `${application.projectName.toLowerCase()} isolated job`;
  runIsolated({
    entry: threadEntry,
    workerData,
    exit: () => exitProcess(exitSoftware),
    memoryMb: tasks.threadMemoryMb,
    log: {
      level: application.logLevel,
      includeCaller: application.logIncludeCaller,
      base: { service: application.projectName, environment: application.environment },
    },
  });
});
