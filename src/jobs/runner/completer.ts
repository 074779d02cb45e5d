/**
 * Records the outcomes of attempts in the table:
 *
 *     returned            completed      many in one statement
 *     committed           completed      the attempt's own transaction has written it
 *     failed              scheduled again, or failed if the error is final or no attempts are left
 *     snoozed             scheduled again, not counted
 *     aborted cancelled   cancelled
 *     aborted drain       available again, not counted; many in one statement
 *     aborted lost        nothing: the job no longer belongs to this runner
 *
 * No write waits for a row that another transaction holds. An outcome that its batch has not written is written in a
 * statement of its own, so that it does not delay the others. Such a write is retried after 10 ms, 20 ms, ... 1 s until
 * it is
 *
 *     written     perhaps by an earlier try whose answer was lost on the way; then the row shows it
 *     lost        the job no longer belongs to this attempt, or the session has closed. A job that a try with a lost answer
 *                 released, and that was claimed again before the next try, cannot be distinguished from this
 *     rejected    PostgreSQL can never store the values (`isRejected`), or they cannot be sent to it. A result then fails
 *                 its job; an error is replaced by a fixed one, and fails the attempt
 *
 * Every other obstacle is temporary, such as a locked row, a full disk or a restart, and no other runner can take the
 * job meanwhile. If an attempt is dropped nevertheless, its row is found and released (orphans, `dispatcher.ts`).
 */

import { setTimeout as delay } from 'node:timers/promises';
import { isUnavailable, sqlState } from '../../db/database-error.ts';
import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Backoff, backoffDelay, exponentialDelay } from '../../resilience/retry.ts';
import {
  type AttemptKey,
  type ClaimedJob,
  cancelRunning,
  completeJobs,
  type DoneAttempt,
  failAttempt,
  findStateAfter,
  type OwnAttempt,
  releaseJobs,
  snoozeJob,
} from '../attempt-store.ts';
import type { JobState } from '../job.ts';
import type { AttemptError, Outcome } from '../thread/thread-messages.ts';
import { createBatch } from './batch.ts';

/** How an attempt was recorded. `lost`: the job no longer belonged to this runner, or that is unknown. */
export type RecordedOutcome =
  | { readonly kind: 'completed' | 'snoozed' | 'cancelled' | 'released' | 'lost' }
  | { readonly kind: 'failed'; readonly error: AttemptError }
  | { readonly kind: 'retried'; readonly error: AttemptError; readonly retryAfterMs: number };

export interface CompleterOptions {
  readonly sql: Sql;
  readonly runner: number;
  /** Whether the session has closed. Nothing is written then. */
  readonly isClosed: () => boolean;
  readonly backoffOf: (task: string) => Backoff;
  readonly random: () => number;
  readonly log: Logger;
}

export interface Completer {
  /**
   * Records the outcome of an attempt. Never rejects. `hasRun` is false if it never had a thread: `run_at` of a job that is
   * cancelled is then after `started_at`, as for any job that is cancelled while it waits, and it has no run time.
   */
  record(job: ClaimedJob, outcome: Outcome, hasRun?: boolean): Promise<RecordedOutcome>;
}

/** Large enough to make each item cheap, small enough to hold the row locks only briefly. */
const maxBatchSize = 500;
const retryDelays: Backoff = { baseMs: 10, maxMs: 1_000 };
/** Minimum time between two log lines about failed writes. */
const reportEveryMs = 10_000;

/** The result of a write: the new state of the job, or why nothing can be written. */
type WriteResult = JobState | 'lost' | 'rejected';

export function createCompleter(options: CompleterOptions): Completer {
  const { sql, runner, isClosed, backoffOf, random, log } = options;
  const completions = createBatch(
    (done: readonly DoneAttempt[]) => writeTogether(done, () => completeJobs(sql, { runner, done })),
    maxBatchSize,
  );
  const releases = createBatch(
    (jobs: readonly AttemptKey[]) => writeTogether(jobs, () => releaseJobs(sql, { runner, jobs })),
    maxBatchSize,
  );
  let quietUntil = 0;

  /** Returns the items that were written. Errors of the others surface when each is written on its own. */
  async function writeTogether<Key extends AttemptKey>(
    keys: readonly Key[],
    write: () => Promise<readonly number[]>,
  ): Promise<ReadonlySet<Key>> {
    if (isClosed()) return new Set();
    try {
      const ids = new Set(await write());
      return new Set(keys.filter(({ id }) => ids.has(id)));
    } catch {
      return new Set();
    }
  }

  /**
   * Writes the outcome of one attempt, and retries until it is written, lost or rejected. `write` resolves with the new
   * state of the job, or undefined if it found no row. `mayBeWritten`: an earlier try may have written it.
   */
  async function persist(
    own: OwnAttempt,
    write: () => Promise<JobState | undefined>,
    mayBeWritten = false,
  ): Promise<WriteResult> {
    let isUncertain = mayBeWritten;
    for (let attempt = 1; !isClosed(); attempt += 1) {
      const waitMs = exponentialDelay(attempt, retryDelays);
      try {
        const state = await write();
        if (state !== undefined) return state;
        const found = await findStateAfter(sql, own);
        if (found !== 'running') return isUncertain && found !== undefined ? found : 'lost';
        if (waitMs === retryDelays.maxMs)
          report(own, new Error('Another transaction has locked the row of the job: end that transaction.'));
      } catch (error) {
        if (!isUnavailable(error)) report(own, error);
        if (isRejected(error)) return 'rejected';
        isUncertain = true;
      }
      await delay(waitMs);
    }
    return 'lost';
  }

  function report({ id, attempt }: OwnAttempt, error: unknown): void {
    if (performance.now() < quietUntil) return;
    quietUntil = performance.now() + reportEveryMs;
    log.warning('runner.failed', { runner, step: 'record', job_id: id, attempt, error });
  }

  async function recordReturned(job: ClaimedJob, result: string | null): Promise<RecordedOutcome> {
    const done = { id: job.id, attempt: job.attempt, result };
    if (await completions.add(done)) return { kind: 'completed' };
    const completeAlone = async () =>
      (await completeJobs(sql, { runner, done: [done] })).length === 1 ? 'completed' : undefined;
    const written = await persist(keyOf(job), completeAlone, true);
    if (written !== 'rejected') return { kind: written === 'completed' ? 'completed' : 'lost' };
    const message = 'The result cannot be stored: return plain JSON.';
    return recordFailed(job, { code: 'invalid_result', message }, true);
  }

  async function recordFailed(
    job: ClaimedJob,
    error: AttemptError,
    isFinal: boolean,
  ): Promise<RecordedOutcome> {
    const retryAfterMs = isFinal ? null : backoffDelay(job.attempt, backoffOf(job.name), random);
    const own = keyOf(job);
    const written = await persist(own, () => failAttempt(sql, { ...own, error, retryAfterMs }));
    if (written === 'rejected' && error !== unrecordable) return recordFailed(job, unrecordable, isFinal);
    if (written === 'scheduled' && retryAfterMs !== null) return { kind: 'retried', error, retryAfterMs };
    return written === 'failed' ? { kind: 'failed', error } : outcomeOf(written);
  }

  async function recordSnoozed(job: ClaimedJob, delayMs: number): Promise<RecordedOutcome> {
    const own = keyOf(job);
    const written = await persist(own, () => snoozeJob(sql, { ...own, delayMs }));
    return written === 'rejected' ? recordFailed(job, unrecordable, false) : outcomeOf(written);
  }

  async function recordAborted(
    job: ClaimedJob,
    reason: 'cancelled' | 'drain',
    hasRun: boolean,
  ): Promise<RecordedOutcome> {
    const own = keyOf(job);
    if (reason === 'cancelled') {
      const cancel = async () => ((await cancelRunning(sql, own, hasRun)) ? 'cancelled' : undefined);
      return outcomeOf(await persist(own, cancel));
    }
    if (await releases.add(own)) return { kind: 'released' };
    const releaseAlone = async () =>
      (await releaseJobs(sql, { runner, jobs: [own] })).length === 1 ? 'available' : undefined;
    return outcomeOf(await persist(own, releaseAlone, true));
  }

  function recordOutcome(
    job: ClaimedJob,
    outcome: Outcome,
    hasRun: boolean,
  ): Promise<RecordedOutcome> | RecordedOutcome {
    switch (outcome.kind) {
      case 'returned':
        return recordReturned(job, outcome.result);
      case 'committed':
        return { kind: 'completed' };
      case 'failed':
        return recordFailed(job, outcome.error, outcome.final);
      case 'snoozed':
        return recordSnoozed(job, outcome.delayMs);
      case 'aborted':
        return outcome.reason === 'lost' ? { kind: 'lost' } : recordAborted(job, outcome.reason, hasRun);
    }
  }

  return {
    async record(job, outcome, hasRun = true) {
      try {
        return await recordOutcome(job, outcome, hasRun);
      } catch (error) {
        // Nothing above should throw. If it does, the job must not stay `running`.
        report(keyOf(job), error);
        return recordFailed(job, unrecordable, false).catch(() => ({ kind: 'lost' }));
      }
    },
  };
}

/** Replaces an outcome that cannot be written. */
const unrecordable: AttemptError = {
  code: 'threw',
  message: 'The outcome of the attempt could not be recorded; the log event runner.failed has the reason.',
};

function keyOf({ id, attempt, runner }: ClaimedJob) {
  return { id, attempt, runner };
}

/** The outcome for the state that a write left the job in: it may have been cancelled meanwhile. */
function outcomeOf(written: WriteResult): RecordedOutcome {
  switch (written) {
    case 'cancelled':
      return { kind: 'cancelled' };
    case 'scheduled':
      return { kind: 'snoozed' };
    case 'available':
      return { kind: 'released' };
    default:
      return { kind: 'lost' };
  }
}

/**
 * Returns whether every retry would fail the same way: the values are invalid for their type (SQLSTATE class 22, of
 * which some are `validation_failed`), violate a constraint (23), or exceed a limit of PostgreSQL (54). A TypeError or
 * RangeError means that no statement can be built from the values.
 */
function isRejected(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof AppError) return error.code === 'validation_failed';
  return /^(?:22|23|54)/.test(sqlState(error) ?? '');
}
