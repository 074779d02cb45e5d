/**
 * The pool: how many executors there are, and which attempt runs next. It opens supervised executors
 * (`supervised-executor.ts`), which are threads in the runner. The size is fixed. Attempts wait in order for the next free thread.
 *
 * A thread that exits is replaced: at once if it ever ran an attempt to an outcome. A thread that exited before that, for
 * example because its file cannot be loaded, is replaced after 0.1 s, 0.2 s ... 30 s, until a thread has finished an
 * attempt again.
 *
 * Invariants: there are never more threads than `size`; no attempt waits while a thread is idle; if no thread is left
 * and the last one did not start, waiting attempts fail with its error; after `close` no thread starts.
 */

import { reasonOf } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import { type Backoff, exponentialDelay } from '../../resilience/retry.ts';
import { type ThreadSource, threadStarter } from './executor.ts';
import { failed, outcomeOfAbort, toAttemptError } from './outcome.ts';
import {
  type ExecutorEnd,
  type SupervisedExecutor,
  type SupervisedExecutorOptions,
  startSupervisedExecutor,
} from './supervised-executor.ts';
import type { AbortReason, Attempt, AttemptError, Outcome, Progress } from './thread-messages.ts';

/** Threads that each run one attempt at a time. A thread that hangs is terminated and replaced. */
export interface ThreadPool {
  readonly size: number;
  /** Returns the number of idle threads. */
  free(): number;
  /**
   * Calls `listener` whenever a new thread is ready. The end of an attempt also frees a thread, but `run` reports that.
   * No thread is ready yet when the pool is created.
   */
  onFree(listener: () => void): void;
  /** Runs an attempt as soon as a thread is free. Never rejects. */
  run(attempt: Attempt, onProgress: (progress: Progress) => void): Promise<Outcome>;
  /** Aborts the attempt of a job, and terminates its thread if it keeps running. Does nothing if it is not here. */
  abort(id: number, reason: AbortReason): void;
  /** Ends all threads. Running and waiting attempts get the outcome `aborted`. Never rejects. Idempotent. */
  close(): Promise<void>;
}

export interface ThreadPoolOptions extends ThreadSource, Pick<SupervisedExecutorOptions, 'log'> {
  readonly size: number;
  /** By default 500 ms. */
  readonly abortGraceMs?: number;
  /** Counts `job_threads_replaced_total`. */
  readonly metrics?: Metrics;
}

interface Waiting {
  readonly attempt: Attempt;
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (outcome: Outcome | Promise<Outcome>) => void;
}

const replaceReasons = ['cancelled', 'timeout', 'drain', 'lost', 'error', 'exited', 'out_of_memory'] as const;

const restartDelays: Backoff = { baseMs: 100, maxMs: 30_000 };

/** Starts the threads, without waiting until they are ready: see `onFree`. */
export function createThreadPool(options: ThreadPoolOptions): ThreadPool {
  const { size, abortGraceMs = 500, log } = options;
  const startThread = threadStarter(options);
  const threads = new Set<SupervisedExecutor>();
  const timers = new Set<NodeJS.Timeout>();
  const waiting: Waiting[] = [];
  const listeners: (() => void)[] = [];
  const replaced = options.metrics?.counter({
    name: 'job_threads_replaced_total',
    help: `Threads that run jobs and were replaced, by reason: ${replaceReasons.join(', ')}.`,
    labels: ['reason'],
  });
  // Created at 0, so that the first replacement is an increase that alerts can see.
  for (const reason of replaceReasons) replaced?.of(reason);
  let failuresInRow = 0;
  let closed: Promise<void> | undefined;

  const idle = () => [...threads].filter((thread) => thread.isIdle());

  function start(): void {
    try {
      const thread: SupervisedExecutor = startSupervisedExecutor({
        ...{ start: startThread, abortGraceMs, log },
        onReady() {
          dispatch();
          if (idle().length > 0) for (const listener of listeners) listener();
        },
        onIdle: dispatch,
        onEnded(end) {
          threads.delete(thread);
          if (closed === undefined) replace(end);
        },
      });
      threads.add(thread);
    } catch (error) {
      replaceLater(toAttemptError('thread_ended', error));
    }
  }

  function replace({ wasUseful, reason, cause }: ExecutorEnd): void {
    replaced?.of(reason).add();
    if (!wasUseful) {
      replaceLater(cause);
    } else {
      failuresInRow = 0;
      start();
    }
  }

  function replaceLater(cause: AttemptError): void {
    failuresInRow += 1;
    const delayMs = exponentialDelay(failuresInRow, restartDelays);
    log.error('thread.failed', {
      error: cause.stack ?? cause.message,
      deaths: failuresInRow,
      delay_ms: delayMs,
      advice:
        'Threads that run jobs end before they can run an attempt: fix the cause of the error and restart.',
    });
    const timer = setTimeout(() => {
      timers.delete(timer);
      start();
    }, delayMs);
    timers.add(timer);
    if (threads.size > 0) return;
    const message = `No thread could be started: ${reasonOf(cause)}.`;
    for (const { resolve } of waiting.splice(0)) resolve(failed({ code: 'thread_ended', message }, false));
  }

  /** Runs waiting attempts in idle threads. */
  function dispatch(): void {
    for (const thread of waiting.length > 0 ? idle() : []) {
      const next = waiting.shift();
      if (next !== undefined) next.resolve(thread.run(next.attempt, next.onProgress));
    }
  }

  async function close(): Promise<void> {
    for (const timer of timers) clearTimeout(timer);
    for (const { attempt, resolve } of waiting.splice(0)) resolve(outcomeOfAbort('drain', attempt.timeoutMs));
    await Promise.all(Array.from(threads, (thread) => thread.end()));
  }

  for (let count = 0; count < size; count += 1) start();
  return {
    size,
    free: () => idle().length,
    onFree: (listener) => void listeners.push(listener),
    run(attempt, onProgress) {
      const [thread] = idle();
      if (thread !== undefined) return thread.run(attempt, onProgress);
      if (closed !== undefined) return Promise.resolve(outcomeOfAbort('drain', attempt.timeoutMs));
      return new Promise((resolve) => waiting.push({ attempt, onProgress, resolve }));
    },
    abort(id, reason) {
      for (const thread of threads) thread.abort(id, reason);
      const index = waiting.findIndex(({ attempt }) => attempt.id === id);
      for (const { attempt, resolve } of index < 0 ? [] : waiting.splice(index, 1)) {
        resolve(outcomeOfAbort(reason, attempt.timeoutMs));
      }
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}
