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

import type { Database } from '../../db/database.ts';
import { sqlState } from '../../db/database-error.ts';
import type { Sql } from '../../db/sql.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Completion, completeInTransaction, isMarked, markTransaction } from '../attempt-store.ts';
import type { TaskContext } from '../task.ts';
import { toResultJson } from './outcome.ts';
import { createProgressThrottle } from './progress-throttle.ts';
import type { Attempt, Progress } from './thread-messages.ts';
import { cutText } from './thrown.ts';

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
  const pace = createProgressThrottle(report, progressEveryMs);
  let phase: 'open' | 'committing' | 'committed' = 'open';
  let transaction: Promise<unknown> | undefined;
  let isOver = false;

  function tx<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    if (isOver || phase !== 'open') return Promise.reject(new Error(refusals[isOver ? 'over' : phase]));
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
        // The work is the task's own and may have other effects: the next attempt starts it from its beginning.
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
        if (isOver || typeof fraction !== 'number' || Number.isNaN(fraction)) return;
        pace.note({ fraction: Math.min(1, Math.max(0, fraction)), message: progressMessage(message) });
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

/**
 * Completes the job as the last statement of its transaction. Whatever keeps it from that, such as a COMMIT that the
 * task sent itself, fails the attempt with a sentence that says so. A job that is no longer this attempt's ends here
 * too, and then recording the failure finds no row either (fencing).
 */
async function complete(sql: Sql, completion: Completion): Promise<void> {
  let isOurs: boolean;
  try {
    isOurs = await completeInTransaction(sql, completion);
  } catch (cause) {
    const message = obstacles.get(sqlState(cause) ?? '');
    throw message === undefined ? cause : new Error(message, { cause });
  }
  if (isOurs) return;
  throw new Error((await isMarked(sql, completion)) ? sentences.row : sentences.ended);
}

const sentences = {
  ended:
    'ctx.tx did not complete the job, because its transaction was ended inside of it: send no COMMIT, ROLLBACK, ABORT or PREPARE TRANSACTION there. What was committed by that has happened.',
  row: 'ctx.tx did not complete the job and was rolled back, because the row of the job is not that of a running attempt any more: a task must not change or delete its own row in the table jobs.',
};

/** By SQLSTATE: what a transaction can be in that takes no completion. */
const obstacles: ReadonlyMap<string, string> = new Map([
  [
    '25P02',
    'ctx.tx was rolled back, because a statement in it failed and the task went on: let the error pass.',
  ],
  [
    '25006',
    'ctx.tx was rolled back, because its transaction only reads: send no SET TRANSACTION READ ONLY there.',
  ],
]);

/** Types do not hold for every caller, and a progress that is wrong must not fail the attempt: then it has no message. */
function progressMessage(message: unknown): string | null {
  return typeof message === 'string' ? cutText(message, maxProgressMessage) : null;
}

const refusals = {
  over: 'The attempt is over: await everything that uses its context before the task returns.',
  open: '',
  committing: 'ctx.tx is under way: it completes the job, so there is one at a time.',
  committed: 'ctx.tx has completed the job already: do everything in one transaction.',
};
