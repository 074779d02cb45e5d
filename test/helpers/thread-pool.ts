import type { Attempt, Outcome, Progress } from '../../src/jobs/thread/thread-messages.ts';
import {
  createThreadPool,
  type ThreadPool,
  type ThreadPoolOptions,
} from '../../src/jobs/thread/thread-pool.ts';
import { startTrace } from '../../src/observability/trace-context.ts';
import { bundledEntry } from './bundled-entry.ts';
import { type CapturedLog, captureLog } from './captured-log.ts';
import { eventually } from './eventually.ts';
import type { After } from './test-database.ts';
import type { TestThreadData } from './thread-entry.ts';

export const testThreadEntry = bundledEntry('thread-entry');

export interface TestPool extends ThreadPool {
  readonly log: CapturedLog;
  /** Runs an attempt of a task, by default with the next id. */
  runTask(name: string, attempt?: Partial<Attempt>): Promise<Outcome>;
  /** The progress that the attempts have reported so far. */
  readonly progress: (Progress & { readonly id: number })[];
}

/**
 * Starts a pool of real threads with the tasks of `thread-entry.ts`, and waits until all are ready. They end after the
 * test.
 */
export async function mustStartPool(
  t: After,
  options: Partial<ThreadPoolOptions> & { readonly databaseUrl?: string } = {},
): Promise<TestPool> {
  const log = captureLog();
  const workerData: TestThreadData = { databaseUrl: options.databaseUrl ?? null };
  const pool = createThreadPool({
    ...{ entry: testThreadEntry, workerData, size: 1, memoryMb: 64, abortGraceMs: 50, log: log.log },
    ...options,
  });
  t.after(() => pool.close());
  await eventually('all threads are ready', () => pool.free() === pool.size);
  const progress: TestPool['progress'] = [];
  let lastId = 0;
  return {
    ...pool,
    ...{ log, progress },
    runTask(name, attempt = {}) {
      lastId += 1;
      const whole = { ...attemptDefaults, id: lastId, name, ...attempt };
      return pool.run(whole, (reported) => progress.push({ id: whole.id, ...reported }));
    },
  };
}

/** The fields of an attempt that a test need not set. */
export const attemptDefaults = {
  payload: {},
  attempt: 1,
  maxAttempts: 10,
  timeoutMs: 60_000,
  userId: null,
  requestId: null,
  trace: startTrace(),
  runner: 1,
};
