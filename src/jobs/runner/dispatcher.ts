/**
 * Dispatches jobs to threads, and tracks each attempt of a runner from its claim until its outcome is in the table.
 *
 *                        a thread is free               it has ended
 *     claim ──> waiting ──────────────────> running ──────────────────> recording ──> removed
 *                  └── waited too long, cancelled, or the runner stops ──────^
 *
 * A suspect is a job that ran in a process that has exited. It does not wait here: it is claimed when a process of the
 * isolate is free.
 *
 * Invariants, while the session is open:
 * - Every row that is `running` with this runner's number is in `held`, except those of the claim in progress and
 *   orphans: rows of a claim whose answer was lost on the way, or rows left by a bug. Orphans are released after a
 *   claim that failed and when a poll has seen one, so no row stays `running` without an attempt while its runner
 *   lives.
 * - At most one claim is in progress. A wake-up during a claim is remembered in `isWanted`, so that none is lost.
 * - An attempt is removed from `held` when its outcome is recorded, and removes only itself: its job may have been
 *   claimed again by then.
 * - `running` never exceeds the number of threads. `waiting` is what `prefetch.ts` allows to claim ahead; it is
 *   released after `maxWaitMs`, so that no job waits behind a long one while other runners have free threads.
 *
 * When the session closes, every attempt here is lost at once: it is aborted, nothing is written any more, and the
 * runner that takes over finds the rows. The next session has a dispatcher of its own.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../../concurrency/deferred.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import type { Sql } from '../../db/sql.ts';
import type { Logger } from '../../observability/logger.ts';
import { runOutsideRequest } from '../../observability/request-context.ts';
import {
  type ClaimedJob,
  claimJobs,
  findOwnAttempts,
  recordProgress,
  releaseJobs,
} from '../attempt-store.ts';
import type { TaskDefinition } from '../task.ts';
import type { Isolate } from '../thread/isolate.ts';
import type { AbortReason, Outcome } from '../thread/thread-messages.ts';
import type { ThreadPool } from '../thread/thread-pool.ts';
import { truncateText } from '../thread/thrown.ts';
import { jobFields, logOutcome } from './attempt-log.ts';
import type { Completer, RecordedOutcome } from './completer.ts';
import type { JobMetrics } from './job-metrics.ts';
import { createPrefetch } from './prefetch.ts';
import { createProgressBatch } from './progress-batch.ts';
import type { Poll } from './runner-store.ts';

export interface DispatcherOptions {
  readonly sql: Sql;
  readonly runner: number;
  readonly pool: ThreadPool;
  /** Runs suspects. */
  readonly isolate: Isolate;
  readonly definitions: ReadonlyMap<string, TaskDefinition>;
  readonly queues: readonly string[];
  readonly completer: Completer;
  /** Whether the session has closed. */
  readonly isClosed: () => boolean;
  /** Called when one of its jobs was scheduled to run again after `delayMs`. */
  readonly onScheduled: (delayMs: number) => void;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

export interface Dispatcher {
  /** Claims as many jobs as there are free places: now, or as soon as one is free. */
  claim(): void;
  /** Acts on the result of a poll. */
  onPoll(poll: Pick<Poll, 'hasAvailable' | 'hasSuspects' | 'running'>): void;
  /** Starts waiting attempts; called when a thread has become free. */
  dispatch(): void;
  /** Aborts the attempt of the job, if it is here. */
  cancel(id: number): void;
  running(): number;
  /**
   * Stops claiming, releases waiting jobs, lets running ones finish within `graceMs`, aborts the rest. Never rejects.
   */
  drain(graceMs: number): Promise<void>;
  /** Aborts everything after the session has closed. Resolves when none of its attempts has a thread. Never rejects. */
  abandon(): Promise<void>;
}

interface Held {
  readonly job: ClaimedJob;
  readonly claimedAt: number;
  stage: 'waiting' | 'running' | 'recording';
}

const lostOutcome: RecordedOutcome = { kind: 'lost' };

/** Maximum time that a job claimed ahead waits for a thread, in milliseconds. */
const maxWaitMs = 500;
/** Minimum time between two writes of progress. */
const progressMs = 200;
const orphanReason = 'The table had it running on this runner, which had no such attempt.';
/** Delay after a failed claim. */
const retryMs = 100;
/** Time for threads to stop and outcomes to be recorded after all attempts were aborted. */
const abortMs = 3_000;

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { sql, runner, pool, isolate, definitions, queues, completer, isClosed, onScheduled, log, metrics } =
    options;
  const held = new Map<number, Held>();
  const threads = new Set<Promise<void>>();
  const prefetch = createPrefetch();
  const progress = createProgressBatch(async (entries) => {
    if (!isClosed()) await recordProgress(sql, { runner, entries }).catch(() => {});
  }, progressMs);
  let waiting: Held[] = [];
  let running = 0;
  let isolated = 0;
  /** Whether suspects may be waiting that were not claimed because the isolate was full. */
  let hasSuspects = true;
  let isWanted = false;
  let isClaiming = false;
  let isStopping = false;
  let mayHaveOrphans = false;
  let staleTimer: NodeJS.Timeout | undefined;
  /** Resolved when it stops and no attempt is left. */
  const empty = createDeferred();

  const claimSize = () =>
    prefetch.claimSize({
      threads: running + pool.free(),
      waiting: waiting.length,
      running,
      recording: held.size - waiting.length - running - isolated,
    });

  async function claimAll(): Promise<void> {
    isClaiming = true;
    while (isWanted && !isStopping && !isClosed()) {
      try {
        if (mayHaveOrphans) await releaseOrphans();
        const limit = claimSize();
        const suspects = limit > 0 || hasSuspects ? isolate.free() : 0;
        if (limit + suspects === 0) break;
        isWanted = false;
        const jobs = await claimJobs(sql, { runner, queues, limit, suspects });
        const alone = jobs.filter(isSuspect).length;
        hasSuspects = alone === suspects;
        if ((limit > 0 && jobs.length - alone === limit) || (suspects > 0 && hasSuspects)) isWanted = true;
        take(jobs);
      } catch (error) {
        isWanted = true;
        mayHaveOrphans = true;
        log.warning('runner.failed', { runner, step: 'claim', error });
        await delay(retryMs);
      }
    }
    isClaiming = false;
    resolveIfEmpty();
  }

  function resolveIfEmpty(): void {
    if (isStopping && held.size === 0 && !isClaiming) empty.resolve();
  }

  /** Releases the rows that have no attempt here. No claim is in progress, so `held` has all others. */
  async function releaseOrphans(): Promise<void> {
    const own = await findOwnAttempts(sql, runner);
    const jobs = own.filter(({ id, attempt }) => held.get(id)?.job.attempt !== attempt);
    const released = jobs.length === 0 ? [] : await releaseJobs(sql, { runner, jobs });
    mayHaveOrphans = false;
    for (const { id, attempt } of jobs) {
      if (released.includes(id)) log.warning('job.released', { job_id: id, attempt, reason: orphanReason });
    }
  }

  function take(jobs: readonly ClaimedJob[]): void {
    const claimedAt = performance.now();
    for (const job of jobs) {
      const each: Held = { job, claimedAt, stage: 'waiting' };
      held.set(job.id, each);
      if (!isSuspect(job)) waiting.push(each);
      else if (isStopping) release([each]);
      else start(each);
      log.debug('job.claimed', { ...jobFields(job), wait_ms: Math.round(job.waitMs) });
    }
    // The claim finished after the runner began to stop, or after the session closed.
    if (isStopping) release(waiting.splice(0));
    dispatch();
  }

  function dispatch(): void {
    while (waiting.length > 0 && pool.free() > 0 && !isClosed()) {
      const next = waiting.shift();
      if (next !== undefined) start(next);
    }
    if (waiting.length > 0) staleTimer ??= setTimeout(releaseStale, maxWaitMs);
    if (isWanted && !isClaiming) void claimAll();
  }

  function start(each: Held): void {
    const { job } = each;
    const startedAt = performance.now();
    metrics.started(job.name, job.waitMs + startedAt - each.claimedAt);
    if (!definitions.has(job.name)) {
      const message = `This runner has no task "${truncateText(job.name, 100)}".`;
      void record(each, { kind: 'failed', error: { code: 'unknown_task', message }, final: false }, null);
      return;
    }
    each.stage = 'running';
    const isAlone = isSuspect(job);
    if (isAlone) isolated += 1;
    else running += 1;
    const { id, attempt } = job;
    const ended = (isAlone ? isolate : pool)
      .run(withoutClaim(job), (reported) => progress.put({ id, attempt, ...reported }))
      .then((outcome) => {
        threads.delete(ended);
        const durationMs = performance.now() - startedAt;
        if (isAlone) {
          isolated -= 1;
          isWanted ||= hasSuspects;
        } else {
          running -= 1;
          prefetch.recordDuration(durationMs);
        }
        void record(each, outcome, durationMs);
        dispatch();
      });
    threads.add(ended);
  }

  async function record(each: Held, outcome: Outcome, durationMs: number | null): Promise<void> {
    each.stage = 'recording';
    progress.drop(each.job.id);
    const recorded = isClosed()
      ? lostOutcome
      : await completer.record(each.job, outcome, durationMs !== null);
    if (held.get(each.job.id) === each) held.delete(each.job.id);
    const isRejected = recorded.kind === 'failed' && recorded.error.code === 'refused';
    metrics.finished(each.job.name, isRejected ? 'refused' : recorded.kind, durationMs);
    logOutcome(log, each.job, recorded, durationMs);
    if (recorded.kind === 'retried') onScheduled(recorded.retryAfterMs);
    if (recorded.kind === 'snoozed' && outcome.kind === 'snoozed') onScheduled(outcome.delayMs);
    resolveIfEmpty();
    // There may now be room for a claim that had to wait.
    if (isWanted && !isClaiming) void claimAll();
  }

  function abort(job: ClaimedJob, reason: AbortReason): void {
    (isSuspect(job) ? isolate : pool).abort(job.id, reason);
  }

  function release(some: readonly Held[]): void {
    for (const each of some) void record(each, { kind: 'aborted', reason: 'drain' }, null);
  }

  function releaseStale(): void {
    staleTimer = undefined;
    const before = performance.now() - maxWaitMs;
    const stale = waiting.filter(({ claimedAt }) => claimedAt <= before);
    if (stale.length > 0) {
      prefetch.pause();
      waiting = waiting.filter(({ claimedAt }) => claimedAt > before);
      isWanted = true;
      release(stale);
    }
    dispatch();
  }

  function claim(): void {
    isWanted = true;
    if (!isClaiming) void claimAll();
  }

  return {
    claim: () => runOutsideRequest(claim),
    onPoll(poll) {
      mayHaveOrphans ||= poll.running.some((id) => !held.has(id));
      hasSuspects = poll.hasSuspects;
      if (poll.hasAvailable || mayHaveOrphans) claim();
    },
    dispatch: () => runOutsideRequest(dispatch),
    cancel(id) {
      const each = held.get(id);
      if (each?.stage === 'running') abort(each.job, 'cancelled');
      if (each?.stage !== 'waiting') return;
      waiting = waiting.filter((other) => other !== each);
      void record(each, { kind: 'aborted', reason: 'cancelled' }, null);
    },
    running: () => running + isolated,
    async drain(graceMs) {
      isStopping = true;
      clearTimeout(staleTimer);
      release(waiting.splice(0));
      resolveIfEmpty();
      await withTimeout(empty.promise, graceMs, () => {});
      for (const { job, stage } of held.values()) if (stage === 'running') abort(job, 'drain');
      await withTimeout(empty.promise, abortMs, () => {});
    },
    async abandon() {
      isStopping = true;
      clearTimeout(staleTimer);
      for (const each of waiting.splice(0)) void record(each, { kind: 'aborted', reason: 'lost' }, null);
      for (const { job, stage } of held.values()) if (stage === 'running') abort(job, 'lost');
      await Promise.all(threads);
    },
  };
}

/** Returns whether a job must run isolated because it ran in a process that has exited. */
function isSuspect({ losses }: ClaimedJob): boolean {
  return losses > 0;
}

/** Returns the fields that are sent to a thread. */
function withoutClaim({ queue, priority, waitMs, losses, ...attempt }: ClaimedJob) {
  return attempt;
}
