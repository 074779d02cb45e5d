/**
 * The inside of a process that runs suspects (`isolate.ts`). It answers the runner as a thread does, and passes one
 * attempt at a time to a thread of its own. It exits when the runner asks it to, or when the runner is gone; other
 * runners take its job over then.
 */

import { logNodeWarnings } from '../../observability/log/node-warnings.ts';
import type { ThreadSource } from './executor.ts';
import { createThreadLog } from './thread-log.ts';
import type { FromThread, ToThread } from './thread-messages.ts';
import { createThreadPool } from './thread-pool.ts';

export interface IsolatedOptions extends ThreadSource {
  readonly log: Parameters<typeof createThreadLog>[1];
  /** Exits the process after an error that no code caught. */
  readonly exit: () => void;
}

/** Runs attempts for the parent process until it sends `end` or is gone. */
export function runIsolated({ log: logOptions, exit, ...source }: IsolatedOptions): void {
  const post = (message: FromThread) => {
    if (process.connected) process.send?.(message);
  };
  const log = createThreadLog(post, logOptions);
  logNodeWarnings(log);
  // Node would print the error as text. The line has left for the runner when the process exits.
  process.on('uncaughtException', (error) => {
    log.critical('application.failed', { part: 'isolate', error });
    setImmediate(exit);
  });
  const pool = createThreadPool({ ...source, size: 1, log: log.named('threads') });
  // A terminal sends its signals to the whole process group; only the runner acts on them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGTTIN', 'SIGTTOU'] as const) {
    process.on(signal, () => {});
  }
  // Without the channel and the thread, nothing keeps the process alive.
  process.once('disconnect', () => void pool.close());

  let current = 0;
  process.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'run': {
        const { attempt } = message;
        const { id } = attempt;
        current = id;
        void pool
          .run(attempt, (progress) => post({ kind: 'progress', id, progress }))
          .then((outcome) => post({ kind: 'ended', id, outcome }));
        break;
      }
      case 'abort':
        pool.abort(current, message.reason);
        break;
      case 'end':
        void pool.close().then(() => process.disconnect?.());
    }
  });
  let isReady = false;
  pool.onFree(() => {
    if (!isReady) post({ kind: 'ready' });
    isReady = true;
  });
}
