/**
 * What one attempt of a task is given to work with, and what remains to be known of it when the task has returned:
 * whether its transaction has completed the job.
 *
 *     open ──ctx.tx──> committing ──> committed      nothing else can change how the attempt ended
 *      ^                   │
 *      └── rolled back ────┘                         the task may try again, or fail
 *
 * The completion is the last statement of the transaction and names the runner and the attempt, so a job that was taken
 * over rolls the whole transaction back. If the connection breaks while the commit is under way, nobody here knows
 * whether it was done: the attempt fails, and recording that changes nothing if the job is completed after all.
 */

import type { Database } from '../db/database.ts';
import type { Sql } from '../db/intercept.ts';
import type { Logger } from '../observability/logger.ts';
import { completeInTransaction } from './attempt-store.ts';
import { toResultJson } from './outcome.ts';
import { createProgressPace } from './progress-pace.ts';
import { JobLostError, type TaskContext } from './task.ts';
import type { Attempt, Progress } from './thread-messages.ts';

export interface AttemptParts {
  readonly attempt: Attempt;
  readonly signal: AbortSignal;
  readonly database: Pick<Database, 'sql' | 'transaction'>;
  readonly log: Logger;
  /** Sends a progress to the runner. */
  readonly report: (progress: Progress) => void;
}

export interface AttemptScope {
  readonly ctx: TaskContext;
  /** Whether `ctx.tx` has completed the job. */
  hasCommitted(): boolean;
  /**
   * The task has ended: waits for a transaction that it did not wait for, rejects with what that rejects with, sends
   * the last progress, and takes no more.
   */
  close(): Promise<void>;
}

/** Somebody who watches wants no more, and the table neither. */
const progressEveryMs = 100;

const maxProgressMessage = 500;

export function openAttempt({ attempt, signal, database, log, report }: AttemptParts): AttemptScope {
  const { id, name, runner, maxAttempts, userId } = attempt;
  const pace = createProgressPace(report, progressEveryMs);
  let phase: 'open' | 'committing' | 'committed' = 'open';
  let transaction: Promise<unknown> | undefined;
  let isOver = false;

  function tx<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    if (isOver || phase !== 'open') return Promise.reject(new Error(refusals[isOver ? 'over' : phase]));
    phase = 'committing';
    const run = database
      .transaction(async (sql) => {
        const result = await work(sql);
        const key = { id, attempt: attempt.attempt, runner };
        const isOurs = await completeInTransaction(sql, { ...key, result: toResultJson(result) });
        if (!isOurs) throw new JobLostError();
        return result;
      })
      .then(
        (result) => {
          phase = 'committed';
          return result;
        },
        (error: unknown) => {
          phase = 'open';
          throw error;
        },
      );
    // A task that does not wait for it hears of it all the same, by `close`.
    run.catch(() => {});
    transaction = run;
    return run;
  }

  return {
    ctx: {
      job: { id, attempt: attempt.attempt, maxAttempts, userId },
      log: log.bind({ job_id: id, task: name, attempt: attempt.attempt }),
      signal,
      sql: database.sql,
      progress(fraction, message) {
        if (isOver || Number.isNaN(fraction)) return;
        pace.note({
          fraction: Math.min(1, Math.max(0, fraction)),
          message: message?.slice(0, maxProgressMessage) ?? null,
        });
      },
      tx,
    },
    hasCommitted: () => phase === 'committed',
    async close() {
      isOver = true;
      try {
        if (phase === 'committing') await transaction;
      } finally {
        pace.flush();
      }
    },
  };
}

const refusals = {
  over: 'The attempt is over: await everything that uses its context before the task returns.',
  open: '',
  committing: 'ctx.tx is under way: it completes the job, so there is one at a time.',
  committed: 'ctx.tx has completed the job already: do everything in one transaction.',
};
