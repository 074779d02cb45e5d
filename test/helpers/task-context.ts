import type { Database } from '../../src/db/database.ts';
import type { TaskContext } from '../../src/jobs/task.ts';
import type { Progress } from '../../src/jobs/thread/thread-messages.ts';
import { type CapturedLog, captureLog } from './captured-log.ts';

export interface TestTaskContext extends TaskContext {
  readonly log: CapturedLog['log'];
  readonly lines: CapturedLog['lines'];
  /** The progress that the task has reported. */
  readonly reports: readonly Progress[];
  abort(reason: Error): void;
}

/** Creates the context of a task over a real database. It has no job, so its `tx` completes none. */
export function makeTaskContext(
  database: Database,
  onProgress: (progress: Progress) => void = () => {},
): TestTaskContext {
  const captured = captureLog();
  const controller = new AbortController();
  const reports: Progress[] = [];
  return {
    job: { id: 1, attempt: 1, maxAttempts: 5, userId: null },
    log: captured.log,
    lines: captured.lines,
    reports,
    progress(fraction, message = '') {
      reports.push({ fraction, message });
      onProgress({ fraction, message });
    },
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    sql: database.sql,
    tx: (work) => database.transaction(work),
  };
}
