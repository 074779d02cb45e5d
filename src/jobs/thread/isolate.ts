/**
 * Where suspects run: jobs that ran in a process when it crashed. Each runs alone in a process of its own, so that
 * another crash proves whose fault it was, counts against that job only, and harms nobody.
 *
 *     run ──> a process that rests? ──yes──> it runs the attempt ──ended──> it rests ──idleMs──> it ends
 *                   │ no                          └── crashed: the attempt has failed with `crashed`
 *                   └──> a new one is started, and given the attempt when it is ready
 *
 * A process is seen like a thread (`supervised-thread.ts`), with the same messages; inside, it has a thread for the attempt
 * (`isolated-process.ts`), so that a timeout or the memory limit ends that alone. Processes are started when a suspect
 * comes, so a program without crashes has none.
 *
 * A process that ends before it is ready says nothing about the job: the attempt is given back, not counted, and no
 * other is taken for 0.1 s, 0.2 s ... 30 s.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import { outcomeOfAbort } from './outcome.ts';
import {
  type SupervisedThread,
  type SupervisedThreadOptions,
  startSupervisedThread,
} from './supervised-thread.ts';
import type { AbortReason, Attempt, Progress } from './thread-messages.ts';
import type { ThreadPool } from './thread-pool.ts';

/** What runs suspects: a pool whose attempts each have a process of their own. */
export type Isolate = Pick<ThreadPool, 'free' | 'onFree' | 'run' | 'abort' | 'close'>;

export interface IsolateOptions extends Pick<SupervisedThreadOptions, 'log'> {
  /** The most processes at a time. */
  readonly size: number;
  /** Starts a process. Throws the system's error if there is no room for another. */
  readonly start: SupervisedThreadOptions['start'];
  /** How long a process rests before it ends, in milliseconds; by default 30 s. */
  readonly idleMs?: number;
}

/** Longer than what the process takes to end the thread inside, so that this only ends a process that hangs. */
const abortGraceMs = 2_000;

const minDelayMs = 100;
const maxDelayMs = 30_000;

/** How long a process may take to be ready. */
const startMs = 30_000;

interface Slot {
  /** The process when it is ready; undefined if it has ended instead. */
  readonly ready: Promise<SupervisedThread | undefined>;
  isTaken: boolean;
  idleTimer?: NodeJS.Timeout;
}

export function createIsolate({ size, start, log, idleMs = 30_000 }: IsolateOptions): Isolate {
  const slots = new Set<Slot>();
  const threads = new Set<SupervisedThread>();
  const listeners: (() => void)[] = [];
  /** Attempts whose process is not ready, and why those of them are to end that were aborted meanwhile. */
  const waiting = new Set<number>();
  const aborted = new Map<number, AbortReason>();
  let taken = 0;
  let failures = 0;
  let notBefore = 0;
  let closed: Promise<void> | undefined;

  const tellFree = () => {
    for (const listener of listeners) listener();
  };

  function open(): Slot {
    const ready = createDeferred<SupervisedThread | undefined>();
    const slot: Slot = {
      isTaken: true,
      ready: ready.promise,
    };
    const thread: SupervisedThread = startSupervisedThread({
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
        if (!wasUseful && closed === undefined && slot.isTaken) noteFailure(cause.stack ?? cause.message);
      },
    });
    const startTimer = setTimeout(() => void thread.end(), startMs);
    slots.add(slot);
    threads.add(thread);
    return slot;
  }

  function noteFailure(error: unknown): void {
    const delayMs = Math.min(minDelayMs * 2 ** failures, maxDelayMs);
    failures += 1;
    notBefore = performance.now() + delayMs;
    log.error('thread.failed', {
      error,
      deaths: failures,
      delay_ms: delayMs,
      advice: 'The process in which suspects run alone does not start: fix what the error says.',
    });
    setTimeout(tellFree, delayMs).unref();
  }

  /** A slot for one attempt; undefined if no process can be started now. */
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
      noteFailure(error);
      return undefined;
    }
  }

  function rest(slot: Slot, thread: SupervisedThread): void {
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
      if (slot !== undefined && thread !== undefined) rest(slot, thread);
      return outcomeOfAbort(wasAborted ?? 'drain', attempt.timeoutMs);
    }
    waiting.delete(attempt.id);
    const outcome = await thread.run(attempt, onProgress);
    if (thread.isIdle()) rest(slot, thread);
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
        queueMicrotask(tellFree);
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
