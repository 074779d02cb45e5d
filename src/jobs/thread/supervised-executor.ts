/**
 * Supervises one executor from outside: it has the timers and the state of the attempt. Every attempt gets an outcome, at the
 * latest when its executor has exited, and no task can prevent that.
 *
 *     starting ──ready──> idle ──run──> busy ──ended──> idle        used again
 *        │                 │              │
 *        │                 │              └── still running after its abort, or an error ─────────> ending
 *        │                 └── end(), or an error of an earlier attempt ──────────────────────────> ending
 *        └─────────────────┴──────────────┴── it exited, ran out of memory, did not start ──> ended <── ending
 *
 * The first of these decides the outcome of an attempt:
 *
 * - The thread sends the outcome. If the attempt was aborted before, it counts as aborted (or as failed with
 *   `timeout`), unless it returned or committed nevertheless: its effect has happened, so it counts as completed.
 * - A message in either direction cannot be deserialised: the attempt fails, and the thread is terminated.
 * - The thread exits; its earlier messages have arrived by then. An aborted attempt counts as aborted. Any other fails
 *   with `out_of_memory` or `thread_ended`, and may be retried.
 *
 * Invariants: only an idle thread gets an attempt; each attempt gets one outcome, after which the thread can do nothing
 * more for it; nothing happens after `ended`.
 *
 * Limits: a call into native code that does not return (`execSync`) cannot be terminated; its thread and attempt stop
 * when it returns. Memory outside the heap of the thread, such as buffers, is limited only by the process. Node stops a
 * thread at its heap limit with 16 MB to spare: a task that asks for more in one allocation, such as a Map that grows
 * beyond half a million entries, crashes the process. The process is then replaced, and the jobs of all its threads are
 * taken over.
 *
 * "Thread" in this file also means a process with one attempt at a time (`isolate.ts`), the other kind of executor.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import type { LogFields, Logger } from '../../observability/logger.ts';
import type { StartExecutor } from './executor.ts';
import { failed, outcomeOfAbort, toAttemptError } from './outcome.ts';
import { isFromThread } from './received-message.ts';
import type { AbortReason, Attempt, AttemptError, Outcome, Progress, ToThread } from './thread-messages.ts';

export interface SupervisedExecutorOptions {
  readonly start: StartExecutor;
  /** Time that an aborted attempt gets before its thread is terminated. */
  readonly abortGraceMs: number;
  readonly log: Logger;
  /** Called when the executor can run its first attempt. */
  readonly onReady: () => void;
  /** Called when an attempt has finished and the executor can run another. */
  readonly onIdle: () => void;
  readonly onEnded: (end: ExecutorEnd) => void;
}

export interface ExecutorEnd {
  /** Whether the executor ever ran an attempt to an outcome. If not, a replacement will probably fail the same way. */
  readonly wasUseful: boolean;
  readonly reason: ExecutorEndReason;
  readonly cause: AttemptError;
}

/** `stopped`: by `end()`. `exited`: by itself. Otherwise the reason for which it was terminated. */
export type ExecutorEndReason = AbortReason | 'stopped' | 'error' | 'exited' | 'out_of_memory';

export interface SupervisedExecutor {
  isIdle(): boolean;
  /** Runs an attempt; the thread must be idle. Never rejects. */
  run(attempt: Attempt, onProgress: (progress: Progress) => void): Promise<Outcome>;
  /** Aborts the attempt, and terminates the thread if it keeps running. Does nothing if this job does not run here. */
  abort(id: number, reason: AbortReason): void;
  /** Aborts the attempt and stops the thread. Resolves when it has exited; never rejects. Idempotent. */
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
  message: 'The thread sent an unknown message: a task must not post to the port of its thread.',
};

const drainGraceMs = 250;

/** Starts a thread. Throws the system's error if it cannot. */
export function startSupervisedExecutor(options: SupervisedExecutorOptions): SupervisedExecutor {
  const { abortGraceMs, log } = options;
  let state: 'starting' | 'idle' | 'busy' | 'ending' | 'ended' = 'starting';
  let given: Given | undefined;
  let wasUseful = false;
  let shouldEnd = false;
  let endError: AttemptError | undefined;
  let reason: ExecutorEndReason = 'exited';
  // The timer has no promise to race against, as withTimeout needs: a message of the thread clears it.
  let graceTimer: NodeJS.Timeout | undefined;

  const ended = createDeferred();
  const handle = options.start({
    message: listen,
    // The unreadable message may have been the outcome of the attempt, and no other would follow.
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
  const post = (message: ToThread) => handle.post(message);

  function listen(message: unknown): void {
    // A task can post to the runner too, and may have posted instead of the outcome.
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
        if (given?.attempt.id === message.id) finish(message.outcome);
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

  function finish(outcome: Outcome): void {
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
    if (shouldEnd) requestEnd();
    else options.onIdle();
  }

  /** After an uncaught error the thread may be in any state, so it exits, but not while it runs another attempt. */
  function onError(id: number | null, thrown: AttemptError): void {
    if (state === 'ending') return;
    if (given === undefined || id === null || id === given.attempt.id) {
      endError = thrown;
      terminate('error');
    } else {
      log.warning('thread.error', { ...describe(thrown), job_id: id });
      reason = 'error';
      shouldEnd = true;
    }
  }

  function abort(id: number, why: AbortReason): void {
    if (given?.attempt.id !== id || given.aborted !== undefined) return;
    given.aborted = why;
    post({ kind: 'abort', reason: why });
    // A drain has less time: the job must still be released before the program exits.
    const graceMs = why === 'drain' ? Math.min(abortGraceMs, drainGraceMs) : abortGraceMs;
    graceTimer = setTimeout(() => terminate(why), graceMs);
  }

  function requestEnd(): void {
    state = 'ending';
    post({ kind: 'end' });
    graceTimer = setTimeout(() => handle.terminate(), abortGraceMs);
  }

  function terminate(why: ExecutorEndReason): void {
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
    finish(failed(cause, false));
    clearTimeout(graceTimer);
    if (reason !== 'stopped') {
      log.warning('thread.ended', {
        reason,
        ...(attempt !== undefined && {
          ...{ job_id: attempt.id, task: attempt.name, attempt: attempt.attempt },
          ...{ trace_id: attempt.trace.traceId, span_id: attempt.trace.spanId },
        }),
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
          post({ kind: 'run', attempt });
        } catch (error) {
          // For example a payload nested too deeply that was inserted into the table directly.
          onError(attempt.id, toAttemptError('thread_ended', error));
        }
      }),
    abort,
    end() {
      if (state === 'ended') return ended.promise;
      shouldEnd = true;
      reason = 'stopped';
      if (given !== undefined) abort(given.attempt.id, 'drain');
      else if (state === 'idle') requestEnd();
      else if (state === 'starting') terminate('stopped');
      return ended.promise;
    },
  };
}

function describe({ message, stack }: AttemptError): LogFields {
  return { error: stack ?? message };
}
