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
 * A write is repeated while the database cannot be reached, for as long as the session lasts: until then nobody else
 * may take the job. Writing twice is harmless, because the second finds no such attempt. What the database refuses for
 * good, such as a result that it cannot store, fails the job, and holds up none of those that were written with it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { isSerialisationFailure } from '../db/database-error.ts';
import type { Sql } from '../db/intercept.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import {
  type AttemptKey,
  type ClaimedJob,
  cancelRunning,
  completeJobs,
  type DoneAttempt,
  failAttempt,
  releaseJobs,
  snoozeJob,
} from './attempt-store.ts';
import { createBatch } from './batch.ts';
import type { JobState } from './job.ts';
import type { Fault, Outcome } from './thread-messages.ts';

/** What became of an attempt. `lost`: it was no longer this runner's, or that could not be found out. */
export type Ending =
  | { readonly kind: 'completed' | 'snoozed' | 'cancelled' | 'released' | 'lost' }
  | { readonly kind: 'failed'; readonly fault: Fault }
  | { readonly kind: 'retried'; readonly fault: Fault; readonly retryAfterMs: number };

export interface RecorderOptions {
  readonly sql: Sql;
  readonly runner: number;
  /** Whether the session is over, so that nothing is worth writing any more. */
  readonly isOver: () => boolean;
  readonly backoffOf: (task: string) => Backoff;
  readonly random: () => number;
  readonly log: Logger;
}

export interface Recorder {
  /** Never rejects. */
  record(job: ClaimedJob, outcome: Outcome): Promise<Ending>;
}

/** Enough for a batch to cost little for each, and few enough for it to hold its locks briefly. */
const mostInBatch = 500;
/** Between two tries while the database cannot be reached. */
const retryMs = 100;

export function createRecorder(options: RecorderOptions): Recorder {
  const { sql, runner, isOver, backoffOf, random, log } = options;
  const completions = createBatch((done: readonly DoneAttempt[]) => complete(done), mostInBatch);
  const releases = createBatch(
    (jobs: readonly AttemptKey[]) => persist(() => releaseJobs(sql, { runner, jobs })).then(() => {}),
    mostInBatch,
  );
  /** Attempts that were not completed, and why, until `record` has told. */
  const notCompleted = new Map<DoneAttempt, 'lost' | 'refused'>();

  /** Writes until it is written. Undefined if the session is over first, or if the database refuses for good. */
  async function persist<T>(write: () => Promise<T>): Promise<T | undefined> {
    while (!isOver()) {
      try {
        return await write();
      } catch (error) {
        if (!isTemporary(error)) {
          log.error('runner.failed', { runner, step: 'record', error });
          return undefined;
        }
        await delay(retryMs);
      }
    }
    return undefined;
  }

  async function complete(done: readonly DoneAttempt[]): Promise<void> {
    let tries = 0;
    const completed = await persist(() => {
      tries += 1;
      return completeJobs(sql, { runner, done });
    });
    if (completed !== undefined) {
      // After a repetition, what is missing may have been completed by the try whose answer was lost.
      if (tries > 1 || completed.length === done.length) return;
      const ids = new Set(completed);
      for (const each of done) if (!ids.has(each.id)) notCompleted.set(each, 'lost');
    } else if (isOver()) {
      for (const each of done) notCompleted.set(each, 'lost');
    } else if (done.length === 1) {
      for (const each of done) notCompleted.set(each, 'refused');
    } else {
      // One of them cannot be written: each by itself, to find out which.
      for (const each of done) await complete([each]);
    }
  }

  async function recordReturned(job: ClaimedJob, result: string | null): Promise<Ending> {
    const done = { id: job.id, attempt: job.attempt, result };
    await completions.put(done);
    const failure = notCompleted.get(done);
    notCompleted.delete(done);
    if (failure === undefined) return { kind: 'completed' };
    if (failure === 'lost') return { kind: 'lost' };
    const message = 'The result cannot be stored: return plain JSON.';
    return recordFailed(job, { code: 'invalid_result', message }, true);
  }

  async function recordFailed(job: ClaimedJob, fault: Fault, isFinal: boolean): Promise<Ending> {
    const retryAfterMs = isFinal ? null : backoffDelay(job.attempt, backoffOf(job.name), random);
    const state = await persist(() => failAttempt(sql, { ...keyOf(job), fault, retryAfterMs }));
    if (state === 'scheduled' && retryAfterMs !== null) return { kind: 'retried', fault, retryAfterMs };
    return state === 'failed' ? { kind: 'failed', fault } : endingOf(state);
  }

  async function recordAborted(job: ClaimedJob, reason: 'cancelled' | 'drain'): Promise<Ending> {
    if (reason === 'cancelled') {
      const cancelled = await persist(() => cancelRunning(sql, keyOf(job)));
      return { kind: cancelled === true ? 'cancelled' : 'lost' };
    }
    await releases.put({ id: job.id, attempt: job.attempt });
    return { kind: isOver() ? 'lost' : 'released' };
  }

  return {
    async record(job, outcome) {
      switch (outcome.kind) {
        case 'returned':
          return recordReturned(job, outcome.result);
        case 'committed':
          return { kind: 'completed' };
        case 'failed':
          return recordFailed(job, outcome.fault, outcome.final);
        case 'snoozed': {
          const { delayMs } = outcome;
          return endingOf(await persist(() => snoozeJob(sql, { ...keyOf(job), delayMs })));
        }
        case 'aborted':
          switch (outcome.reason) {
            case 'lost':
              return { kind: 'lost' };
            case 'timeout':
              return recordFailed(job, timeoutFault(job.timeoutMs), false);
            default:
              return recordAborted(job, outcome.reason);
          }
      }
    },
  };
}

function keyOf({ id, attempt, runner }: ClaimedJob) {
  return { id, attempt, runner };
}

function timeoutFault(timeoutMs: number): Fault {
  return { code: 'timeout', message: `The attempt took longer than ${timeoutMs} ms.` };
}

/** What an attempt that was not to end for good has come to: somebody may have cancelled it meanwhile. */
function endingOf(state: JobState | undefined): Ending {
  if (state === 'scheduled') return { kind: 'snoozed' };
  return { kind: state === 'cancelled' ? 'cancelled' : 'lost' };
}

/** Whether the same statement may succeed a moment later. */
function isTemporary(error: unknown): boolean {
  if (isSerialisationFailure(error)) return true;
  return (
    error instanceof AppError && (error.code === 'database_unavailable' || error.code === 'database_timeout')
  );
}
