/**
 * The inside of a thread: runs one attempt at a time, as it is told, and says how each ended.
 *
 *     runner ── run ──────────────> thread: payload checked, task called in a context of its own
 *            <── event, line ──────   what it logs
 *            <── progress ─────────   how far it is, at most ten times a second
 *            ── abort ────────────>   `ctx.signal`: queries are cancelled, the task is to end
 *            <── ended, or error ──   how it ended; or what nobody caught
 *
 * The thread cannot be trusted: a task may never give way, so that no abort arrives. Therefore it decides nothing. The
 * runner's side (`supervised-thread.ts`) keeps the time, knows what it asked for, and ends the thread if nothing follows.
 *
 * While an attempt runs it is the current request of everything it starts (`runInRequest`): log lines have the id of the
 * request that enqueued the job (of a job that no request did, `job-<id>`), queries end with the signal, and what is
 * thrown out of a timer is known by whose timer it was, even if another attempt runs by then.
 *
 * A task that leaves a timer behind, or global state, leaves it to the next attempt in the thread.
 */

import { setMaxListeners } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import type { Database } from '../../db/database.ts';
import type { Logger } from '../../observability/logger.ts';
import { currentRequest, type RequestContext, runInRequest } from '../../observability/request-context.ts';
import type { Task } from '../task.ts';
import { failed, isWithoutConnection, outcomeOfError, toAttemptError, toResultJson } from './outcome.ts';
import { openAttempt } from './task-context.ts';
import type { AbortReason, Attempt, FromThread, Outcome, ToThread } from './thread-messages.ts';
import { cutText } from './thrown.ts';

export interface ThreadOptions {
  readonly port: MessagePort;
  readonly tasks: readonly Task[];
  /** The thread's own connections; two are enough: one for `ctx.tx`, one for `ctx.sql`. */
  readonly database: Pick<Database, 'sql' | 'transaction'>;
  /** Made by `createThreadLog`. */
  readonly log: Logger;
  /** Closes what the tasks work with, when there is nothing more to run. */
  readonly close: () => Promise<void>;
}

interface Current {
  readonly attempt: Attempt;
  readonly controller: AbortController;
}

/** Says that the thread is ready, and runs what it is told to, until it is told to end. Takes over its errors. */
export function runTasks({ port, tasks, database, log, close }: ThreadOptions): void {
  const byName = new Map(tasks.map((task) => [task.definition.name, task]));
  /** Whose each context is, also that of an attempt that is over: what it left behind may still fail. */
  const owners = new WeakMap<RequestContext, number>();
  let current: Current | undefined;
  const post = (message: FromThread) => port.postMessage(message);

  async function run(attempt: Attempt): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    setMaxListeners(0, signal);
    const context = { id: attempt.requestId ?? `job-${attempt.id}`, signal };
    owners.set(context, attempt.id);
    current = { attempt, controller };
    const outcome = await runInRequest(context, () => perform(attempt, signal));
    current = undefined;
    post({ kind: 'ended', id: attempt.id, outcome });
  }

  async function perform(attempt: Attempt, signal: AbortSignal): Promise<Outcome> {
    const task = byName.get(attempt.name);
    if (task === undefined) {
      const message = `This version of the program has no task ${cutText(attempt.name, 100)}.`;
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
    current?.controller.abort(new DOMException(sentences[reason], 'AbortError'));
  }

  async function end(): Promise<void> {
    await close();
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

const sentences: Readonly<Record<AbortReason, string>> = {
  cancelled: 'The job was cancelled.',
  timeout: 'The attempt has passed its timeout.',
  drain: 'The runner is about to stop: the job will run again.',
  lost: 'The job is no longer of this runner.',
};
