/**
 * The inside of a process that runs suspects (`isolate.ts`): it answers the runner as a thread does, and gives the one
 * attempt it has at a time to a thread of its own. It ends when it is told to, and when the runner is gone, whose jobs
 * others take over then.
 */

import type { ThreadSource } from './thread-handle.ts';
import { createThreadLog } from './thread-log.ts';
import type { FromThread, ToThread } from './thread-messages.ts';
import { createThreadPool } from './thread-pool.ts';

export interface IsolatedOptions extends ThreadSource {
  readonly log: Parameters<typeof createThreadLog>[1];
}

/** Runs attempts for the process that has started this one, until it says otherwise or is gone. */
export function runIsolated({ log: logOptions, ...source }: IsolatedOptions): void {
  const post = (message: FromThread) => {
    if (process.connected) process.send?.(message);
  };
  const log = createThreadLog(post, logOptions);
  const pool = createThreadPool({ ...source, size: 1, log: log.named('threads') });
  // A terminal sends its signals to all processes; the runner decides what follows from them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGTTIN', 'SIGTTOU'] as const) {
    process.on(signal, () => {});
  }
  // With the channel and the thread gone, nothing keeps the process.
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
