/**
 * Runs suspects: jobs that ran in a process when it crashed. Each runs alone in a process of its own, so another crash
 * proves which job caused it, counts against that job only, and harms no other.
 *
 *     run ──> an idle process? ──yes──> runs the attempt ──ended──> idle ──idleMs──> stopped
 *                   │ no                     └── crashed: the attempt has failed with `crashed`
 *                   └──> a new process is started, and gets the attempt when it is ready
 *
 * A process is supervised like a thread (`supervised-executor.ts`), with the same messages. Inside, a thread runs the
 * attempt (`isolated-process.ts`), so a timeout or the memory limit terminates only that thread. Processes are started on
 * demand: a program without crashes has none.
 *
 * If a process exits before it is ready, that proves nothing about the job. The attempt is released, not counted, and no
 * other is accepted for 0.1 s, 0.2 s ... 30 s.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import { type Backoff, exponentialDelay } from '../../resilience/retry.ts';
import { outcomeOfAbort } from './outcome.ts';
import {
  type SupervisedExecutor,
  type SupervisedExecutorOptions,
  startSupervisedExecutor,
} from './supervised-executor.ts';
import type { AbortReason, Attempt, Progress } from './thread-messages.ts';
import type { ThreadPool } from './thread-pool.ts';

/** A pool in which each attempt has a process of its own. */
export type Isolate = Pick<ThreadPool, 'free' | 'onFree' | 'run' | 'abort' | 'close'>;

export interface IsolateOptions extends Pick<SupervisedExecutorOptions, 'log'> {
  /** Maximum number of processes. */
  readonly size: number;
  /** Starts a process. Throws the system's error if it cannot. */
  readonly start: SupervisedExecutorOptions['start'];
  /** How long a process stays idle before it is stopped, in milliseconds; by default 30 s. */
  readonly idleMs?: number;
}

/** Longer than the process needs to terminate its thread, so this terminates only a process that hangs. */
const abortGraceMs = 2_000;

const restartDelays: Backoff = { baseMs: 100, maxMs: 30_000 };

/** Maximum time that a process may take to become ready. */
const maxStartMs = 30_000;

interface Slot {
  /** Resolves with the process when it is ready; with undefined if it exited instead. */
  readonly ready: Promise<SupervisedExecutor | undefined>;
  isTaken: boolean;
  idleTimer?: NodeJS.Timeout;
}

export function createIsolate({ size, start, log, idleMs = 30_000 }: IsolateOptions): Isolate {
  const slots = new Set<Slot>();
  const threads = new Set<SupervisedExecutor>();
  const listeners: (() => void)[] = [];
  /** The ids of attempts whose process is not ready yet, and the reasons of those that were aborted meanwhile. */
  const waiting = new Set<number>();
  const aborted = new Map<number, AbortReason>();
  let taken = 0;
  let failures = 0;
  let notBefore = 0;
  let closed: Promise<void> | undefined;

  const notifyFree = () => {
    for (const listener of listeners) listener();
  };

  function open(): Slot {
    const ready = createDeferred<SupervisedExecutor | undefined>();
    const slot: Slot = {
      isTaken: true,
      ready: ready.promise,
    };
    const thread: SupervisedExecutor = startSupervisedExecutor({
      ...{ start, abortGraceMs, log },
      onReady() {
        clearTimeout(startTimer);
        failures = 0;
        ready.resolve(thread);
      },
      onIdle() {},
      onEnded({ wasUseful, cause }) {
        slots.delete(slot);
        threads.delete(thread);
        clearTimeout(startTimer);
        clearTimeout(slot.idleTimer);
        ready.resolve(undefined);
        if (!wasUseful && closed === undefined && slot.isTaken) backOff(cause.stack ?? cause.message);
      },
    });
    const startTimer = setTimeout(() => void thread.end(), maxStartMs);
    slots.add(slot);
    threads.add(thread);
    return slot;
  }

  function backOff(error: unknown): void {
    failures += 1;
    const delayMs = exponentialDelay(failures, restartDelays);
    notBefore = performance.now() + delayMs;
    log.error('thread.failed', {
      error,
      deaths: failures,
      delay_ms: delayMs,
      advice: 'The process that runs suspects in isolation does not start: fix the cause of the error.',
    });
    setTimeout(notifyFree, delayMs).unref();
  }

  /** Returns a slot for one attempt; undefined if no process can be started now. */
  function take(): Slot | undefined {
    for (const slot of slots) {
      if (slot.isTaken) continue;
      clearTimeout(slot.idleTimer);
      slot.isTaken = true;
      return slot;
    }
    try {
      return open();
    } catch (error) {
      backOff(error);
      return undefined;
    }
  }

  function keepIdle(slot: Slot, thread: SupervisedExecutor): void {
    slot.isTaken = false;
    slot.idleTimer = setTimeout(() => {
      slots.delete(slot);
      void thread.end();
    }, idleMs);
    slot.idleTimer.unref();
  }

  async function runIn(slot: Slot | undefined, attempt: Attempt, onProgress: (progress: Progress) => void) {
    const thread = await slot?.ready;
    const wasAborted = aborted.get(attempt.id);
    if (wasAborted !== undefined || thread === undefined || slot === undefined) {
      if (slot !== undefined && thread !== undefined) keepIdle(slot, thread);
      return outcomeOfAbort(wasAborted ?? 'drain', attempt.timeoutMs);
    }
    waiting.delete(attempt.id);
    const outcome = await thread.run(attempt, onProgress);
    if (thread.isIdle()) keepIdle(slot, thread);
    return outcome;
  }

  return {
    free: () => (closed !== undefined || performance.now() < notBefore ? 0 : size - taken),
    onFree: (listener) => void listeners.push(listener),
    async run(attempt, onProgress) {
      taken += 1;
      waiting.add(attempt.id);
      try {
        return await runIn(closed === undefined ? take() : undefined, attempt, onProgress);
      } finally {
        taken -= 1;
        waiting.delete(attempt.id);
        aborted.delete(attempt.id);
        queueMicrotask(notifyFree);
      }
    },
    abort(id, reason) {
      if (waiting.has(id) && !aborted.has(id)) aborted.set(id, reason);
      for (const thread of threads) thread.abort(id, reason);
    },
    close() {
      for (const slot of slots) clearTimeout(slot.idleTimer);
      closed ??= Promise.all(Array.from(threads, (thread) => thread.end())).then(() => undefined);
      return closed;
    },
  };
}
