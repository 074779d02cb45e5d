/**
 * The context that one attempt of a task gets, and whether its transaction has completed the job.
 *
 *     open ──ctx.tx──> committing ──> committed      nothing else can change the outcome of the attempt
 *      ^                   │
 *      └── rolled back ────┘                         the task may try again, or fail
 *
 * The completion is the last statement of the transaction and names the runner and the attempt, so a job that was taken
 * over rolls the whole transaction back. If the connection breaks during the commit, its result is unknown: the attempt
 * fails, and recording that failure changes nothing if the job was completed after all.
 */

import type { Database } from '../../db/database.ts';
import { sqlState } from '../../db/database-error.ts';
import type { Sql } from '../../db/sql.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Completion, completeInTransaction, isMarked, markTransaction } from '../attempt-store.ts';
import type { TaskContext } from '../task.ts';
import { toResultJson } from './outcome.ts';
import { createProgressThrottle } from './progress-throttle.ts';
import type { Attempt, Progress } from './thread-messages.ts';
import { truncateText } from './thrown.ts';

export interface AttemptParts {
  readonly attempt: Attempt;
  readonly signal: AbortSignal;
  readonly database: Pick<Database, 'sql' | 'transaction'>;
  readonly log: Logger;
  /** Sends the progress to the runner. */
  readonly report: (progress: Progress) => void;
}

export interface AttemptScope {
  readonly ctx: TaskContext;
  /** Whether `ctx.tx` has completed the job. */
  hasCommitted(): boolean;
  /**
   * Ends the context after the task: waits for a transaction that the task did not await, and rejects with its error;
   * sends the last progress. Later calls have no effect or are rejected.
   */
  close(): Promise<void>;
}

/** More updates would be useless to a viewer, and would load the runner. */
const progressEveryMs = 100;

const maxProgressMessage = 500;

export function openAttempt({ attempt, signal, database, log, report }: AttemptParts): AttemptScope {
  const { id, name, runner, maxAttempts, userId } = attempt;
  const throttle = createProgressThrottle(report, progressEveryMs);
  let phase: 'open' | 'committing' | 'committed' = 'open';
  let transaction: Promise<unknown> | undefined;
  let hasEnded = false;

  function tx<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    if (hasEnded || phase !== 'open') return Promise.reject(new Error(txErrors[hasEnded ? 'ended' : phase]));
    phase = 'committing';
    const run = database
      .transaction(
        async (sql) => {
          const key = { id, attempt: attempt.attempt, runner };
          await markTransaction(sql, key);
          const result = await work(sql);
          await complete(sql, { ...key, result: toResultJson(result) });
          return result;
        },
        // No automatic retry: the work may have other effects, so only the next attempt starts it again.
        { retries: 0 },
      )
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
    // If the task does not await it, `close` reports the error.
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
        if (hasEnded || typeof fraction !== 'number' || Number.isNaN(fraction)) return;
        throttle.add({ fraction: Math.min(1, Math.max(0, fraction)), message: progressMessage(message) });
      },
      tx,
    },
    hasCommitted: () => phase === 'committed',
    async close() {
      hasEnded = true;
      try {
        if (phase === 'committing') await transaction;
      } finally {
        throttle.flush();
      }
    },
  };
}

/**
 * Completes the job as the last statement of its transaction. Throws an Error that names the cause if it cannot, such
 * as a COMMIT sent by the task. A job that no longer belongs to this attempt fails here too; recording that failure
 * then finds no row either (fencing).
 */
async function complete(sql: Sql, completion: Completion): Promise<void> {
  let isOurs: boolean;
  try {
    isOurs = await completeInTransaction(sql, completion);
  } catch (cause) {
    const message = transactionErrors.get(sqlState(cause) ?? '');
    throw message === undefined ? cause : new Error(message, { cause });
  }
  if (isOurs) return;
  throw new Error(
    (await isMarked(sql, completion)) ? notCompleted.rowChanged : notCompleted.transactionEnded,
  );
}

const notCompleted = {
  transactionEnded:
    'ctx.tx did not complete the job, because its transaction was ended inside it: send no COMMIT, ROLLBACK, ABORT or PREPARE TRANSACTION there. Changes that were committed by that are permanent.',
  rowChanged:
    'ctx.tx did not complete the job and was rolled back, because the row of the job no longer has this running attempt: a task must not change or delete its own row in the table jobs.',
};

/** By SQLSTATE: states of a transaction in which the job cannot be completed. */
const transactionErrors: ReadonlyMap<string, string> = new Map([
  [
    '25P02',
    'ctx.tx was rolled back, because a statement in it failed and the task continued: do not catch the error.',
  ],
  [
    '25006',
    'ctx.tx was rolled back, because its transaction is read-only: send no SET TRANSACTION READ ONLY there.',
  ],
]);

/**
 * Returns the message, or null if it is not a string: untyped callers exist, and a wrong progress must not fail a job.
 */
function progressMessage(message: unknown): string | null {
  return typeof message === 'string' ? truncateText(message, maxProgressMessage) : null;
}

const txErrors = {
  ended: 'The attempt has ended: await everything that uses its context before the task returns.',
  open: '',
  committing: 'ctx.tx is in progress: it completes the job, so only one can run at a time.',
  committed: 'ctx.tx has completed the job already: use one transaction for everything.',
};
