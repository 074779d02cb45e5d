/**
 * Writes how attempts ended, in the words of the table:
 *
 *     returned            completed      many in one statement
 *     committed           completed      its own transaction has written it
 *     failed              scheduled again, or failed if it is final or the attempts are used up
 *     snoozed             scheduled again, not counted
 *     aborted cancelled   cancelled
 *     aborted drain       available again, not counted; many in one statement
 *     aborted lost        nothing: it is no longer this runner's
 *
 * No write waits for a row that somebody else holds, and what a batch has not written is written by itself, so that
 * nothing holds up its neighbours. A write alone is tried again after 10 ms, 20 ms, ... 1 s until it is
 *
 *     written     perhaps by an earlier try whose answer was lost on the way: then the row says so
 *     lost        the job is no longer of this attempt, or the session is over; so is, as far as can be told, one that
 *                 was given back by a try whose answer was lost, and that has been claimed again before the next
 *     refused     PostgreSQL can never store such values (`isRefused`), or they cannot be sent to it: a result fails its
 *                 job, and an error is replaced by one that says so and fails its attempt
 *
 * Whatever else stands in the way passes, as a held row, a full disk or a restart do, and nobody else may take the job
 * before. Should an attempt be dropped all the same, its row is found and released (orphans, `dispatcher.ts`).
 */

import { setTimeout as delay } from 'node:timers/promises';
import { isUnavailable, sqlState } from '../../db/database-error.ts';
import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Backoff, backoffDelay } from '../../resilience/retry.ts';
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

/** What became of an attempt. `lost`: it was no longer this runner's, or that could not be found out. */
export type RecordedOutcome =
  | { readonly kind: 'completed' | 'snoozed' | 'cancelled' | 'released' | 'lost' }
  | { readonly kind: 'failed'; readonly error: AttemptError }
  | { readonly kind: 'retried'; readonly error: AttemptError; readonly retryAfterMs: number };

export interface CompleterOptions {
  readonly sql: Sql;
  readonly runner: number;
  /** Whether the session is over, so that nothing is worth writing any more. */
  readonly isOver: () => boolean;
  readonly backoffOf: (task: string) => Backoff;
  readonly random: () => number;
  readonly log: Logger;
}

export interface Completer {
  /** Never rejects. */
  record(job: ClaimedJob, outcome: Outcome): Promise<RecordedOutcome>;
}

/** Enough for a batch to cost little for each, and few enough for it to hold its locks briefly. */
const maxBatchSize = 500;
const minRetryMs = 10;
const maxRetryMs = 1_000;
/** Between two lines of the log that say why nothing can be written. */
const reportMs = 10_000;

/** What has come of a write: the state that the job is in now, or that there is no more to write. */
type Written = JobState | 'lost' | 'refused';

export function createCompleter(options: CompleterOptions): Completer {
  const { sql, runner, isOver, backoffOf, random, log } = options;
  const completions = createBatch(
    (done: readonly DoneAttempt[]) => writeTogether(done, () => completeJobs(sql, { runner, done })),
    maxBatchSize,
  );
  const releases = createBatch(
    (jobs: readonly AttemptKey[]) => writeTogether(jobs, () => releaseJobs(sql, { runner, jobs })),
    maxBatchSize,
  );
  let quietUntil = 0;

  /** Those that were written. What is wrong with the others, if anything, is found when each is written by itself. */
  async function writeTogether<Key extends AttemptKey>(
    keys: readonly Key[],
    write: () => Promise<readonly number[]>,
  ): Promise<ReadonlySet<Key>> {
    if (isOver()) return new Set();
    try {
      const ids = new Set(await write());
      return new Set(keys.filter(({ id }) => ids.has(id)));
    } catch {
      return new Set();
    }
  }

  /**
   * Writes how one attempt ended, until that is done or there is no more to write. `write` resolves with the state that
   * it has given the job, or undefined if it found no row. `mayBeWritten`: it was tried before.
   */
  async function persist(
    own: OwnAttempt,
    write: () => Promise<JobState | undefined>,
    mayBeWritten = false,
  ): Promise<Written> {
    let isUncertain = mayBeWritten;
    for (let waitMs = minRetryMs; !isOver(); waitMs = Math.min(2 * waitMs, maxRetryMs)) {
      try {
        const state = await write();
        if (state !== undefined) return state;
        const found = await findStateAfter(sql, own);
        if (found !== 'running') return isUncertain && found !== undefined ? found : 'lost';
        if (waitMs === maxRetryMs) report(own, new Error('A transaction holds the row of the job: end it.'));
      } catch (error) {
        if (!isUnavailable(error)) report(own, error);
        if (isRefused(error)) return 'refused';
        isUncertain = true;
      }
      await delay(waitMs);
    }
    return 'lost';
  }

  function report({ id, attempt }: OwnAttempt, error: unknown): void {
    if (performance.now() < quietUntil) return;
    quietUntil = performance.now() + reportMs;
    log.warning('runner.failed', { runner, step: 'record', job_id: id, attempt, error });
  }

  async function recordReturned(job: ClaimedJob, result: string | null): Promise<RecordedOutcome> {
    const done = { id: job.id, attempt: job.attempt, result };
    if (await completions.put(done)) return { kind: 'completed' };
    const completeAlone = async () =>
      (await completeJobs(sql, { runner, done: [done] })).length === 1 ? 'completed' : undefined;
    const written = await persist(keyOf(job), completeAlone, true);
    if (written !== 'refused') return { kind: written === 'completed' ? 'completed' : 'lost' };
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
    if (written === 'refused' && error !== unrecordable) return recordFailed(job, unrecordable, isFinal);
    if (written === 'scheduled' && retryAfterMs !== null) return { kind: 'retried', error, retryAfterMs };
    return written === 'failed' ? { kind: 'failed', error } : endingOf(written);
  }

  async function recordSnoozed(job: ClaimedJob, delayMs: number): Promise<RecordedOutcome> {
    const own = keyOf(job);
    const written = await persist(own, () => snoozeJob(sql, { ...own, delayMs }));
    return written === 'refused' ? recordFailed(job, unrecordable, false) : endingOf(written);
  }

  async function recordAborted(job: ClaimedJob, reason: 'cancelled' | 'drain'): Promise<RecordedOutcome> {
    const own = keyOf(job);
    if (reason === 'cancelled') {
      const cancel = async () => ((await cancelRunning(sql, own)) ? 'cancelled' : undefined);
      return endingOf(await persist(own, cancel));
    }
    if (await releases.put(own)) return { kind: 'released' };
    const releaseAlone = async () =>
      (await releaseJobs(sql, { runner, jobs: [own] })).length === 1 ? 'available' : undefined;
    return endingOf(await persist(own, releaseAlone, true));
  }

  function recordOutcome(job: ClaimedJob, outcome: Outcome): Promise<RecordedOutcome> | RecordedOutcome {
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
        switch (outcome.reason) {
          case 'lost':
            return { kind: 'lost' };
          case 'timeout':
            return recordFailed(job, timeoutError(job.timeoutMs), false);
          default:
            return recordAborted(job, outcome.reason);
        }
    }
  }

  return {
    async record(job, outcome) {
      try {
        return await recordOutcome(job, outcome);
      } catch (error) {
        // Nothing above throws; should it, the job must not stay `running` because of how its attempt ended.
        report(keyOf(job), error);
        return recordFailed(job, unrecordable, false).catch(() => ({ kind: 'lost' }));
      }
    },
  };
}

/** In the place of an outcome that cannot be written. */
const unrecordable: AttemptError = {
  code: 'threw',
  message: 'How the attempt ended could not be recorded; the log has the reason under runner.failed.',
};

function keyOf({ id, attempt, runner }: ClaimedJob) {
  return { id, attempt, runner };
}

function timeoutError(timeoutMs: number): AttemptError {
  return { code: 'timeout', message: `The attempt took longer than ${timeoutMs} ms.` };
}

/** What an attempt has come to that was not to fail: somebody may have cancelled it meanwhile. */
function endingOf(written: Written): RecordedOutcome {
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
 * Whether PostgreSQL would say the same however often it is asked: the values are no data of their type (SQLSTATE class
 * 22, of which some are `validation_failed`), break a constraint (23), or exceed what it can take at all (54). A value
 * that no statement can be made of is a TypeError or a RangeError of the program's own.
 */
function isRefused(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof AppError) return error.code === 'validation_failed';
  return /^(?:22|23|54)/.test(sqlState(error) ?? '');
}
