/**
 * The attempts in the hands of a runner, from the claim until what became of them stands in the table.
 *
 *                        a thread is free               it has ended
 *     claim ──> waiting ──────────────────> running ──────────────────> recording ──> gone
 *                  └── waited too long, cancelled, or the runner stops ──────^
 *
 * A suspect, which ran in a process that has ended, does not wait: it is claimed when a process of the isolate is free.
 *
 * Invariants, while the session lasts:
 * - Every row that is `running` under this runner's number is in `held`, but for the claim under way, and for orphans:
 *   rows of a claim whose answer was lost on the way, or whatever else went wrong. After a claim that failed, and when a
 *   poll has seen a row that is not in `held`, the orphans are released; so none stays `running` while its runner lives.
 * - One claim is under way at a time. Another wake-up meanwhile is remembered in `isWanted`, so that none is lost.
 * - An attempt leaves `held` when it is recorded, and only itself: its job may have been claimed again by then.
 * - `running` never exceeds the threads; `waiting` is what `prefetch.ts` lets be claimed ahead, and is given back after
 *   `waitMs`, so that no job is stuck behind a long one while other runners have threads free.
 *
 * With the end of the session everything here is lost at once: attempts are told to end, nothing is written any more,
 * and whoever takes over finds the rows. The next session has attempts of its own.
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
import { cutText } from '../thread/thrown.ts';
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
  /** Where suspects run. */
  readonly isolate: Isolate;
  readonly definitions: ReadonlyMap<string, TaskDefinition>;
  readonly queues: readonly string[];
  readonly completer: Completer;
  /** Whether the session is over. */
  readonly isOver: () => boolean;
  /** Told that a job of its own is to run again after so many milliseconds. */
  readonly onScheduled: (delayMs: number) => void;
  readonly log: Logger;
  readonly metrics: JobMetrics;
}

export interface Dispatcher {
  /** There may be jobs: claims as many as fit, now or as soon as there is room. */
  claim(): void;
  /** The table was asked whether jobs wait, and which run here. */
  polled(poll: Pick<Poll, 'hasAvailable' | 'hasSuspects' | 'running'>): void;
  /** A thread has become free. */
  proceed(): void;
  /** Ends the job's attempt, if it is here. */
  cancel(id: number): void;
  running(): number;
  /** Claims no more, releases what waits, lets what runs end within `graceMs` and aborts the rest. Never rejects. */
  drain(graceMs: number): Promise<void>;
  /** The session is over: aborts everything. Resolves when no thread works for it any more. */
  lose(): Promise<void>;
}

interface Held {
  readonly job: ClaimedJob;
  readonly claimedAt: number;
  stage: 'waiting' | 'running' | 'recording';
}

const lost: RecordedOutcome = { kind: 'lost' };

/** What is claimed ahead waits for a thread so long at most, in milliseconds. */
const waitMs = 500;
const progressMs = 200;
const orphanReason = 'It was running for this runner, which had no such attempt.';
/** After a claim that failed. */
const retryMs = 100;
/** What threads and writes need, once all attempts have been told to end. */
const endMs = 3_000;

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { sql, runner, pool, isolate, definitions, queues, completer, isOver, onScheduled, log, metrics } =
    options;
  const held = new Map<number, Held>();
  const threads = new Set<Promise<void>>();
  const prefetch = createPrefetch();
  const progress = createProgressBatch(async (entries) => {
    if (!isOver()) await recordProgress(sql, { runner, entries }).catch(() => {});
  }, progressMs);
  let waiting: Held[] = [];
  let running = 0;
  let isolated = 0;
  /** Whether suspects wait that were not claimed because all processes of the isolate were taken. */
  let hasSuspects = true;
  let isWanted = false;
  let isClaiming = false;
  let isStopping = false;
  let mayHaveOrphans = false;
  let staleTimer: NodeJS.Timeout | undefined;
  let onEmpty: (() => void) | undefined;

  const claimSize = () =>
    prefetch.claimSize({
      threads: running + pool.free(),
      waiting: waiting.length,
      running,
      recording: held.size - waiting.length - running - isolated,
    });

  async function claimAll(): Promise<void> {
    isClaiming = true;
    while (isWanted && !isStopping && !isOver()) {
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
    tellIfEmpty();
  }

  function tellIfEmpty(): void {
    if (held.size === 0 && !isClaiming) onEmpty?.();
  }

  /** Gives back the rows that nobody here knows. No claim is under way, so `held` has all others. */
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
      else if (isStopping) giveBack([each]);
      else start(each);
      log.debug('job.claimed', { ...jobFields(job), wait_ms: Math.round(job.waitMs) });
    }
    // It came while the runner was stopping, or with the end of the session.
    if (isStopping) giveBack(waiting.splice(0));
    dispatch();
  }

  function dispatch(): void {
    while (waiting.length > 0 && pool.free() > 0 && !isOver()) {
      const next = waiting.shift();
      if (next !== undefined) start(next);
    }
    if (waiting.length > 0) staleTimer ??= setTimeout(releaseStale, waitMs);
    if (isWanted && !isClaiming) void claimAll();
  }

  function start(each: Held): void {
    const { job } = each;
    const startedAt = performance.now();
    metrics.started(job.name, job.waitMs + startedAt - each.claimedAt);
    if (!definitions.has(job.name)) {
      const message = `This runner knows no task "${cutText(job.name, 100)}".`;
      void record(each, { kind: 'failed', error: { code: 'unknown_task', message }, final: false }, null);
      return;
    }
    each.stage = 'running';
    const isAlone = isSuspect(job);
    if (isAlone) isolated += 1;
    else running += 1;
    const { id, attempt } = job;
    const ended = (isAlone ? isolate : pool)
      .run(withoutClaim(job), (said) => progress.put({ id, attempt, ...said }))
      .then((outcome) => {
        threads.delete(ended);
        const durationMs = performance.now() - startedAt;
        if (isAlone) {
          isolated -= 1;
          isWanted ||= hasSuspects;
        } else {
          running -= 1;
          prefetch.note(durationMs);
        }
        void record(each, outcome, durationMs);
        dispatch();
      });
    threads.add(ended);
  }

  async function record(each: Held, outcome: Outcome, durationMs: number | null): Promise<void> {
    each.stage = 'recording';
    progress.drop(each.job.id);
    const ending = isOver() ? lost : await completer.record(each.job, outcome);
    if (held.get(each.job.id) === each) held.delete(each.job.id);
    const isRefusal = ending.kind === 'failed' && ending.error.code === 'refused';
    metrics.finished(each.job.name, isRefusal ? 'refused' : ending.kind, durationMs);
    logOutcome(log, each.job, ending, durationMs);
    if (ending.kind === 'retried') onScheduled(ending.retryAfterMs);
    if (ending.kind === 'snoozed' && outcome.kind === 'snoozed') onScheduled(outcome.delayMs);
    tellIfEmpty();
    // There may be room for a claim that there was none for.
    if (isWanted && !isClaiming) void claimAll();
  }

  function abort(job: ClaimedJob, reason: AbortReason): void {
    (isSuspect(job) ? isolate : pool).abort(job.id, reason);
  }

  function giveBack(some: readonly Held[]): void {
    for (const each of some) void record(each, { kind: 'aborted', reason: 'drain' }, null);
  }

  function releaseStale(): void {
    staleTimer = undefined;
    const before = performance.now() - waitMs;
    const stale = waiting.filter(({ claimedAt }) => claimedAt <= before);
    if (stale.length > 0) {
      prefetch.stop();
      waiting = waiting.filter(({ claimedAt }) => claimedAt > before);
      isWanted = true;
      giveBack(stale);
    }
    dispatch();
  }

  function claim(): void {
    isWanted = true;
    if (!isClaiming) void claimAll();
  }

  return {
    claim: () => runOutsideRequest(claim),
    polled(poll) {
      mayHaveOrphans ||= poll.running.some((id) => !held.has(id));
      hasSuspects = poll.hasSuspects;
      if (poll.hasAvailable || mayHaveOrphans) claim();
    },
    proceed: () => runOutsideRequest(dispatch),
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
      giveBack(waiting.splice(0));
      const empty = createDeferred();
      onEmpty = empty.resolve;
      tellIfEmpty();
      await withTimeout(empty.promise, graceMs, () => {});
      for (const { job, stage } of held.values()) if (stage === 'running') abort(job, 'drain');
      await withTimeout(empty.promise, endMs, () => {});
    },
    async lose() {
      isStopping = true;
      clearTimeout(staleTimer);
      for (const each of waiting.splice(0)) void record(each, { kind: 'aborted', reason: 'lost' }, null);
      for (const { job, stage } of held.values()) if (stage === 'running') abort(job, 'lost');
      await Promise.all(threads);
    },
  };
}

/** Whether a job is to run alone: it ran in a process that has ended. */
function isSuspect({ losses }: ClaimedJob): boolean {
  return losses > 0;
}

/** What a thread is to know. */
function withoutClaim({ queue, priority, waitMs, losses, ...attempt }: ClaimedJob) {
  return attempt;
}
