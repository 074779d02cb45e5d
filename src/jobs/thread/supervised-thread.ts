/**
 * One thread, seen from outside. Whatever a task does in it, an attempt that it was given ends with an outcome, and at
 * the latest with the thread.
 *
 *     starting ──ready──> idle ──run──> busy ──ended──> idle        used again
 *        │                 │              │
 *        │                 │              └── not ended so long after its abort, or an error ──> ending
 *        │                 └── end(), or an error of an attempt that is over ──────────────────> ending
 *        └─────────────────┴──────────────┴── it exited, ran out of memory, could not start ──> ended <── ending
 *
 * How an attempt ends, by what was first:
 *
 * - The thread says so. Told to end before, it has been aborted (or has failed with `timeout`), unless it returned or
 *   committed all the same: that has happened, and counts.
 * - What it says, or is told, cannot be read at the other end: that is its error, and it is ended.
 * - The thread exits: what it sent before has arrived by then. Told to end, as above; else it failed, with
 *   `out_of_memory` or `thread_ended`, and may be tried again.
 *
 * Invariants: an attempt is only given to an idle thread; its outcome is said once, and when the thread can do nothing
 * more for it; after `ended` nothing happens. What cannot be ended is a call into native code that does not return
 * (`execSync`): its thread, and the attempt, end when it does. Memory outside of the heap of the thread, such as
 * buffers, has no limit but the process's. And Node stops a thread at its limit with 16 MB to spare: what asks for more
 * than that in one piece, such as a Map that doubles beyond half a million entries, ends the process, which is replaced, and
 * the jobs of all its threads are taken over.
 *
 * What is called a thread here is also a process with one attempt at a time (`isolate.ts`): see `thread-handle.ts`.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import type { LogFields, Logger } from '../../observability/logger.ts';
import { failed, outcomeOfAbort, toAttemptError } from './outcome.ts';
import { isFromThread } from './received-message.ts';
import type { StartThread } from './thread-handle.ts';
import type { AbortReason, Attempt, AttemptError, Outcome, Progress, ToThread } from './thread-messages.ts';

export interface SupervisedThreadOptions {
  readonly start: StartThread;
  /** How long an attempt that is told to end may take to, before its thread is ended. */
  readonly abortGraceMs: number;
  readonly log: Logger;
  /** It can take its first attempt now. */
  readonly onReady: () => void;
  /** An attempt has ended, and it can take another. */
  readonly onIdle: () => void;
  readonly onEnded: (end: ThreadEnd) => void;
}

export interface ThreadEnd {
  /** Whether it ever ended an attempt, or was ended because of one. If not, another will hardly do better. */
  readonly wasUseful: boolean;
  readonly reason: ThreadEndReason;
  readonly cause: AttemptError;
}

/** `stopped`: it was asked to. `exited`: by itself. Else for what reason it was ended. */
export type ThreadEndReason = AbortReason | 'stopped' | 'fault' | 'exited' | 'out_of_memory';

export interface SupervisedThread {
  isIdle(): boolean;
  /** Runs an attempt; the thread must be idle. Never rejects. */
  run(attempt: Attempt, onProgress: (progress: Progress) => void): Promise<Outcome>;
  /** Tells the attempt to end, and ends the thread if it does not. Does nothing if another one runs, or none. */
  abort(id: number, reason: AbortReason): void;
  /** Ends the thread, and the attempt with it. Resolves when it has ended; never rejects. Idempotent. */
  end(): Promise<void>;
}

interface Given {
  readonly attempt: Attempt;
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (outcome: Outcome) => void;
  readonly timeout: NodeJS.Timeout;
  aborted?: AbortReason;
}

const foreignMessage: AttemptError = {
  code: 'thread_ended',
  message:
    'The thread sent a message that the runner does not know: a task must not post to the port of its thread.',
};

const drainGraceMs = 250;

/** Starts a thread. Throws the system's error if there is no room for one. */
export function startSupervisedThread(options: SupervisedThreadOptions): SupervisedThread {
  const { abortGraceMs, log } = options;
  let state: 'starting' | 'idle' | 'busy' | 'ending' | 'ended' = 'starting';
  let given: Given | undefined;
  let wasUseful = false;
  let isToEnd = false;
  let endError: AttemptError | undefined;
  let reason: ThreadEndReason = 'exited';
  let graceTimer: NodeJS.Timeout | undefined;

  const ended = createDeferred();
  const handle = options.start({
    message: listen,
    // What the thread said cannot be read. It may have been how its attempt ended, so nothing else would end that.
    unreadable: (error) => onError(null, toAttemptError('thread_ended', error)),
    failed(thrown) {
      if (state === 'ending') return;
      reason = thrown.code === 'out_of_memory' ? 'out_of_memory' : 'exited';
      endError = thrown;
    },
    ended(how) {
      onExit(how);
      ended.resolve();
    },
  });
  const tell = (message: ToThread) => handle.post(message);

  function listen(message: unknown): void {
    // Code of a task can post to the runner too; what it posts may have taken the place of how its attempt ended.
    if (!isFromThread(message)) {
      onError(null, foreignMessage);
      return;
    }
    switch (message.kind) {
      case 'event':
        log.relay.event(message.event);
        break;
      case 'line':
        log.relay.line(message.line);
        break;
      case 'progress':
        if (given?.attempt.id === message.id) given.onProgress(message.progress);
        break;
      case 'ended':
        if (given?.attempt.id === message.id) settle(message.outcome);
        break;
      case 'error':
        onError(message.id, message.error);
        break;
      case 'ready':
        if (state !== 'starting') break;
        state = 'idle';
        options.onReady();
    }
  }

  function settle(outcome: Outcome): void {
    if (given === undefined) return;
    const { attempt, aborted, timeout, resolve } = given;
    clearTimeout(timeout);
    clearTimeout(graceTimer);
    given = undefined;
    wasUseful = true;
    const counts = aborted === undefined || outcome.kind === 'returned' || outcome.kind === 'committed';
    resolve(counts ? outcome : outcomeOfAbort(aborted, attempt.timeoutMs));
    if (state !== 'busy') return;
    state = 'idle';
    if (isToEnd) endPolitely();
    else options.onIdle();
  }

  /** What nobody caught may have left the thread in any state: it ends, but not while it runs an innocent attempt. */
  function onError(id: number | null, thrown: AttemptError): void {
    if (state === 'ending') return;
    if (given === undefined || id === null || id === given.attempt.id) {
      endError = thrown;
      terminate('fault');
    } else {
      log.warning('thread.fault', { ...describe(thrown), job_id: id });
      reason = 'fault';
      isToEnd = true;
    }
  }

  function abort(id: number, why: AbortReason): void {
    if (given?.attempt.id !== id || given.aborted !== undefined) return;
    given.aborted = why;
    tell({ kind: 'abort', reason: why });
    // At the end of the program there is less time: what has not ended then is still to be given back.
    const graceMs = why === 'drain' ? Math.min(abortGraceMs, drainGraceMs) : abortGraceMs;
    graceTimer = setTimeout(() => terminate(why), graceMs);
  }

  function endPolitely(): void {
    state = 'ending';
    tell({ kind: 'end' });
    graceTimer = setTimeout(() => handle.terminate(), abortGraceMs);
  }

  function terminate(why: ThreadEndReason): void {
    state = 'ending';
    reason = why;
    handle.terminate();
  }

  function onExit(how: AttemptError): void {
    if (state === 'ended') return;
    state = 'ended';
    const attempt = given?.attempt;
    const wasAborted = given?.aborted !== undefined;
    const cause = endError ?? how;
    settle(failed(cause, false));
    clearTimeout(graceTimer);
    if (reason !== 'stopped') {
      log.warning('thread.ended', {
        reason,
        ...(attempt !== undefined && { job_id: attempt.id, task: attempt.name, attempt: attempt.attempt }),
        ...(!wasAborted && describe(cause)),
      });
    }
    options.onEnded({ wasUseful, reason, cause });
  }

  return {
    isIdle: () => state === 'idle',
    run: (attempt, onProgress) =>
      new Promise((resolve) => {
        state = 'busy';
        const timeout = setTimeout(() => abort(attempt.id, 'timeout'), attempt.timeoutMs);
        given = { attempt, onProgress, resolve, timeout };
        try {
          tell({ kind: 'run', attempt });
        } catch (error) {
          // Such as a payload nested too deeply, which somebody wrote into the table by hand.
          onError(attempt.id, toAttemptError('thread_ended', error));
        }
      }),
    abort,
    end() {
      if (state === 'ended') return ended.promise;
      isToEnd = true;
      reason = 'stopped';
      if (given !== undefined) abort(given.attempt.id, 'drain');
      else if (state === 'idle') endPolitely();
      else if (state === 'starting') terminate('stopped');
      return ended.promise;
    },
  };
}

function describe({ message, stack }: AttemptError): LogFields {
  return { error: stack ?? message };
}
