/**
 * As many threads as are wanted, whatever becomes of single ones; attempts wait in order for the next that is free.
 *
 * A thread that has ended is replaced: at once if it ever ended an attempt, or ended because of one. One that died
 * before that, such as at its start because its file cannot be loaded, is replaced later and later (0.1 s, 0.2 s ...
 * 30 s), until one has ended an attempt again.
 *
 * Invariants: there are never more threads than `size`; no attempt waits while a thread is idle; none waits while there
 * is no thread at all and the last has died at its start, but fails with its error; after `close` no thread starts.
 */

import { reasonOf } from '../../errors.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import { failed, outcomeOfAbort, toAttemptError } from './outcome.ts';
import {
  type SupervisedThread,
  type SupervisedThreadOptions,
  startSupervisedThread,
  type ThreadEnd,
} from './supervised-thread.ts';
import { type ThreadSource, threadStarter } from './thread-handle.ts';
import type { AbortReason, Attempt, AttemptError, Outcome, Progress } from './thread-messages.ts';

/** Threads that run one attempt each at a time. A thread that does not come back is ended and replaced. */
export interface ThreadPool {
  readonly size: number;
  /** Threads that could take an attempt now. */
  free(): number;
  /**
   * Has `listener` called when a thread has become free otherwise than by the end of an attempt, which `run` tells: a
   * new one is ready. At the start of the program none is yet.
   */
  onFree(listener: () => void): void;
  /** Runs an attempt in a free thread; with none free, when one is. Never rejects. */
  run(attempt: Attempt, onProgress: (progress: Progress) => void): Promise<Outcome>;
  /** Tells the attempt to end, and ends its thread if it has not after a moment. Does nothing if it is not there. */
  abort(id: number, reason: AbortReason): void;
  /** Ends all threads. Attempts that are running or waiting end as `aborted`. Never rejects. Idempotent. */
  close(): Promise<void>;
}

export interface ThreadPoolOptions extends ThreadSource, Pick<SupervisedThreadOptions, 'log'> {
  readonly size: number;
  /** By default half a second. */
  readonly abortGraceMs?: number;
  /** Where `job_threads_replaced_total` is counted. */
  readonly metrics?: Metrics;
}

interface Waiting {
  readonly attempt: Attempt;
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (outcome: Outcome | Promise<Outcome>) => void;
}

const replaceReasons = ['cancelled', 'timeout', 'drain', 'lost', 'fault', 'exited', 'out_of_memory'] as const;

const minDelayMs = 100;
const maxDelayMs = 30_000;

/** Starts the threads. It does not wait for them: see `onFree`. */
export function createThreadPool(options: ThreadPoolOptions): ThreadPool {
  const { size, abortGraceMs = 500, log } = options;
  const startThread = threadStarter(options);
  const threads = new Set<SupervisedThread>();
  const timers = new Set<NodeJS.Timeout>();
  const waiting: Waiting[] = [];
  const listeners: (() => void)[] = [];
  const replaced = options.metrics?.counter({
    name: 'job_threads_replaced_total',
    help: `Threads of jobs that ended and were replaced, by the reason: ${replaceReasons.join(', ')}.`,
    labels: ['reason'],
  });
  // From the start, at 0, so that the first one is an increase already.
  for (const reason of replaceReasons) replaced?.of(reason);
  let deathsInRow = 0;
  let closed: Promise<void> | undefined;

  const idle = () => [...threads].filter((thread) => thread.isIdle());

  function start(): void {
    try {
      const thread: SupervisedThread = startSupervisedThread({
        ...{ start: startThread, abortGraceMs, log },
        onReady() {
          serve();
          if (idle().length > 0) for (const listener of listeners) listener();
        },
        onIdle: serve,
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

  function replace({ wasUseful, reason, cause }: ThreadEnd): void {
    replaced?.of(reason).add();
    if (!wasUseful) {
      replaceLater(cause);
    } else {
      deathsInRow = 0;
      start();
    }
  }

  function replaceLater(cause: AttemptError): void {
    deathsInRow += 1;
    const delayMs = Math.min(minDelayMs * 2 ** (deathsInRow - 1), maxDelayMs);
    log.error('thread.failed', {
      error: cause.stack ?? cause.message,
      deaths: deathsInRow,
      delay_ms: delayMs,
      advice: 'Threads of jobs end before they can do anything: mend what the error says, and start again.',
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

  /** Gives those that wait to threads that are idle. */
  function serve(): void {
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
