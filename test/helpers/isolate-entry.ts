/** The entry of a process that runs the tasks of `thread-entry.ts`, one attempt at a time. */

import { runIsolated } from '../../src/jobs/thread/isolated-process.ts';
import { bundledEntry } from './bundled-entry.ts';
import type { TestThreadData } from './thread-entry.ts';

process.once('message', (workerData: TestThreadData) => {
  runIsolated({
    entry: bundledEntry('thread-entry'),
    workerData,
    exit: () => process.exit(70),
    memoryMb: 64,
    log: { level: 'INFO', base: { service: 'test' } },
  });
});
