/**
 * The inside of a thread: runs the attempts that the runner sends, one at a time, and reports the outcome of each.
 *
 *     runner ── run ──────────────> thread: payload checked, task called in a context of its own
 *            <── event, line ──────   its log
 *            <── progress ─────────   its progress, at most ten times per second
 *            ── abort ────────────>   `ctx.signal`: queries are cancelled, the task should return
 *            <── ended, or error ──   the outcome; or an uncaught error
 *
 * The runner cannot rely on the thread: a task that blocks the event loop receives no abort. So the thread decides
 * nothing. The runner's side (`supervised-executor.ts`) has the timers, knows what it asked for, and terminates a thread
 * that does not respond.
 *
 * While an attempt runs, it is the current request of everything that it starts (`runInRequest`): log lines carry the
 * id of the request that enqueued the job (or `job-<id>`) and the span of the attempt, which is published for tracers;
 * the signal cancels queries; and an error thrown by a timer is attributed to the attempt that created the timer, even
 * if another attempt is running by then.
 *
 * Timers and global state that a task leaves behind remain for the next attempt in the thread.
 */

import { setMaxListeners } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import type { Database } from '../../db/database.ts';
import type { Logger } from '../../observability/logger.ts';
import { currentRequest, type RequestContext, runInRequest } from '../../observability/request-context.ts';
import {
  type AttemptMessage,
  attemptChannel,
  beginOperation,
  endOperation,
  finishTracing,
} from '../../observability/trace-channels.ts';
import type { TraceContext } from '../../observability/trace-context.ts';
import type { Task } from '../task.ts';
import { failed, isWithoutConnection, outcomeOfError, toAttemptError, toResultJson } from './outcome.ts';
import { openAttempt } from './task-context.ts';
import type { AbortReason, Attempt, FromThread, Outcome, ToThread } from './thread-messages.ts';
import { truncateText } from './thrown.ts';

export interface ThreadOptions {
  readonly port: MessagePort;
  readonly tasks: readonly Task[];
  /** The thread's own connections. Two are enough: one for `ctx.tx`, one for `ctx.sql`. */
  readonly database: Pick<Database, 'sql' | 'transaction' | 'settle'>;
  /** Created by `createThreadLog`. */
  readonly log: Logger;
  /** Closes the resources of the tasks, after the last attempt. */
  readonly close: () => Promise<void>;
}

/**
 * How long the statements of an aborted attempt may take to end, in milliseconds. Then the next attempt of the job may start,
 * so none of them may reach PostgreSQL later. Less than the time after which the thread is terminated.
 */
const settleMs = 200;

interface Current {
  readonly attempt: Attempt;
  readonly controller: AbortController;
}

/** Runs attempts from the port until the runner sends `end`. Handles the uncaught errors of the thread. */
export function runTasks({ port, tasks, database, log, close }: ThreadOptions): void {
  const byName = new Map(tasks.map((task) => [task.definition.name, task]));
  /** The attempt of each context. A finished attempt may have left timers behind that still fail. */
  const owners = new WeakMap<RequestContext, number>();
  let current: Current | undefined;
  const post = (message: FromThread) => port.postMessage(message);

  async function run(attempt: Attempt): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    setMaxListeners(0, signal);
    current = { attempt, controller };
    const outcome = await traceAttempt(attempt, (trace) => {
      const context = { id: attempt.requestId ?? `job-${attempt.id}`, signal, trace };
      owners.set(context, attempt.id);
      return runInRequest(context, () => perform(attempt, signal));
    });
    if (signal.aborted) await database.settle(settleMs);
    current = undefined;
    post({ kind: 'ended', id: attempt.id, outcome });
  }

  async function perform(attempt: Attempt, signal: AbortSignal): Promise<Outcome> {
    const task = byName.get(attempt.name);
    if (task === undefined) {
      const message = `This version of the program has no task ${truncateText(attempt.name, 100)}.`;
      return failed({ code: 'unknown_task', message }, false);
    }
    const scope = openAttempt({
      ...{ attempt, signal, database, log },
      report: (progress) => post({ kind: 'progress', id: attempt.id, progress }),
    });
    try {
      const result = await task.run(attempt.payload, scope.ctx);
      await scope.close();
      if (scope.hasCommitted()) return { kind: 'committed' };
      return { kind: 'returned', result: toResultJson(result) };
    } catch (error) {
      await scope.close().catch(() => {});
      if (!scope.hasCommitted()) return outcomeOf(error, scope.ctx.log);
      scope.ctx.log.warning('job.failed_after_commit', { error });
      return { kind: 'committed' };
    }
  }

  function outcomeOf(error: unknown, jobLog: Logger): Outcome {
    if (isWithoutConnection(error)) jobLog.warning('job.no_database', { error });
    return outcomeOfError(error);
  }

  function abort(reason: AbortReason): void {
    current?.controller.abort(new DOMException(abortMessages[reason], 'AbortError'));
  }

  async function end(): Promise<void> {
    await close();
    await finishTracing(maxTracingMs);
    port.close();
  }

  const report = (error: unknown) => {
    const context = currentRequest();
    const id = context === undefined ? undefined : owners.get(context);
    post({ kind: 'error', id: id ?? null, error: toAttemptError('thread_ended', error) });
  };
  process.on('uncaughtException', report);
  process.on('unhandledRejection', report);
  port.on('message', (message: ToThread) => {
    if (message.kind === 'run') void run(message.attempt);
    else if (message.kind === 'abort') abort(message.reason);
    else void end();
  });
  port.on('messageerror', (error: unknown) => {
    post({ kind: 'error', id: null, error: toAttemptError('thread_ended', error) });
  });
  post({ kind: 'ready' });
}

/** The thread is terminated 500 ms after `end` (`supervised-executor.ts`), and `close` comes first. */
const maxTracingMs = 300;

/** Publishes the span of an attempt for tracers; if there are none, only calls `run`. */
async function traceAttempt(
  { id, name, attempt, trace, parent }: Attempt,
  run: (trace: TraceContext) => Promise<Outcome>,
): Promise<Outcome> {
  if (!attemptChannel.hasSubscribers) return run(trace);
  const message: AttemptMessage = { jobId: id, task: name, attempt, trace, parent };
  const outcome = await beginOperation(attemptChannel, message, () => run(message.trace));
  message.outcome = outcome.kind;
  endOperation(attemptChannel, message, outcome.kind === 'failed' ? outcome.error : undefined);
  return outcome;
}

const abortMessages: Readonly<Record<AbortReason, string>> = {
  cancelled: 'The job was cancelled.',
  timeout: 'The attempt has exceeded its timeout.',
  drain: 'The runner is stopping: the job will run again.',
  lost: 'The job no longer belongs to this runner.',
};
