/**
 * A runner claims jobs and has threads run them. No timeout decides which runner owns a job: a runner owns the jobs
 * that carry its number, for as long as a session of PostgreSQL holds the lock of that number:
 *
 *               session opened            session closed: connection broken, PostgreSQL restarted, ...
 *     opening ─────────────────> working ────────────────────────────────────> opening (with a new number)
 *        │                          │
 *        └────────── stop() ────────┴──> draining ──> stopped
 *
 *     working   wake-up (NOTIFY) or poll ──> claim ──> threads ──> record        dispatcher.ts, completer.ts
 *               poll, every 1.1 s        ──> promote scheduled jobs that are due, cancel, take over from dead runners
 *
 * Failures, and what happens:
 *
 * - The process is killed: its lock is free at once, and the next poll of any runner takes its jobs over.
 * - The session closes and the process lives: its attempts are aborted, and it opens a new session. Writes of those
 *   attempts find no row with their attempt and number (fencing). It claims nothing before they have stopped.
 * - The process was suspended and resumes when other runners have its jobs: the same, as soon as it notices that its
 *   session has closed. Until then fencing keeps it from completing anything.
 * - A connection of the pool breaks while the session lives: writes and claims are retried (dispatcher.ts).
 * - PostgreSQL is unreachable: the runner tries to open a session every 100 ms.
 * - A wake-up is lost: the poll finds the job.
 *
 * Waiting for the lock of another runner would report its death at once, but a waiting statement holds back VACUUM in
 * the whole database for as long as it waits, which would be days. So runners poll.
 *
 * An idle runner sends one statement every 1.1 s, and one every 15 s for its metrics.
 */

import { hostname } from 'node:os';
import { createDeferred } from '../../concurrency/deferred.ts';
import { createInterruptibleSleep } from '../../concurrency/interruptible-sleep.ts';
import { connectDatabase } from '../../db/database.ts';
import { isUnavailable } from '../../db/database-error.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import { parseTraceContext } from '../../observability/trace-context.ts';
import type { TaskDefinition } from '../task.ts';
import type { Isolate } from '../thread/isolate.ts';
import type { ThreadPool } from '../thread/thread-pool.ts';
import { createCompleter } from './completer.ts';
import { createDispatcher, type Dispatcher } from './dispatcher.ts';
import { createJobMetrics } from './job-metrics.ts';
import { findQueueDepths, type TakeOverOptions, takeOver } from './runner-store.ts';
import { openRunnerSession, type Session } from './session.ts';

export interface Runner {
  /** Its number, which its running jobs carry. Changes with every session; 0 while there is none. */
  id(): number;
  /** Whether it holds its lock and claims jobs. */
  isReady(): boolean;
  /** Number of running attempts. */
  running(): number;
  /** Stops claiming, lets running ones finish within `graceMs`, releases the rest. Idempotent; never rejects. */
  stop(graceMs: number): Promise<void>;
}

export interface RunnerOptions {
  /** Connections that claim and record jobs; a transaction pooler is allowed. */
  readonly databaseUrl: string;
  /** The connection that holds the lock: the same database, directly or through a session pooler. */
  readonly directUrl: string;
  /** Number of connections to `databaseUrl`; by default 3. There is one more to `directUrl`. */
  readonly poolSize?: number;
  readonly connectTimeoutSeconds?: number;
  /** The name of the connections in `pg_stat_activity`. */
  readonly applicationName?: string;
  /** All tasks that it can run. It serves their queues. */
  readonly definitions: readonly TaskDefinition[];
  /** Its threads. The caller closes the pool after `stop`. */
  readonly pool: ThreadPool;
  /** Runs suspects, which are jobs whose runner was lost. By default the pool; they do not run isolated then. */
  readonly isolate?: Isolate;
  /** The version of the program, shown in the list of runners. */
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called at each poll while an operator's request for a job of a schedule waits. */
  readonly onRunRequest?: () => void;
  readonly pollMs?: number;
  /** Returns 0 up to 1, for the jitter of retry delays. */
  readonly random?: () => number;
}

/**
 * Maximum time that `stop` takes beyond its grace period, in milliseconds: 3 s for aborted attempts and their outcomes
 * (`dispatcher.ts`), 2 s for the row (`session.ts`), 2 s for the connections. Only a thread that cannot be terminated
 * (`supervised-executor.ts`) can delay it further.
 */
export const runnerStopMs = 7_000;

const statementTimeoutMs = 10_000;
const closeSeconds = 2;
const depthsEveryMs = 15_000;
/** Delay between tries to open a session while PostgreSQL is unreachable, and after any other error. */
const unavailableRetryMs = 100;
const errorRetryMs = 1_000;
/** The minimum poll interval, also while jobs become due one shortly after another. */
const minPollMs = 25;
/** For jobs whose task is unknown here: a runner with newer code may be starting. */
const unknownBackoff = { baseMs: 10_000, maxMs: 600_000 };

/**
 * Starts a runner. Resolves when it claims jobs, or when PostgreSQL is unreachable; it then keeps trying. Rejects with
 * a StartError behind a transaction pooler or if the URLs lead to different databases, and with other errors of
 * PostgreSQL, such as that of a missing table.
 */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const {
    pool,
    isolate = pool,
    definitions,
    version,
    log,
    metrics,
    pollMs = 1_100,
    random = Math.random,
  } = options;
  const shared = { applicationName: 'strata-runner', connectTimeoutSeconds: 5, ...options };
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));
  const queues = [...new Set(definitions.map(({ queue }) => queue))];
  const database = connectDatabase({
    url: options.databaseUrl,
    poolSize: options.poolSize ?? 3,
    statementTimeoutMs,
    slowQueryMs: 1_000,
    connectTimeoutSeconds: shared.connectTimeoutSeconds,
    applicationName: shared.applicationName,
    log,
  });
  const jobMetrics = createJobMetrics(metrics, definitions, () => dispatcher?.running() ?? 0);
  const sleep = createInterruptibleSleep();
  const stopRequested = createDeferred();
  let session: Session | undefined;
  let dispatcher: Dispatcher | undefined;
  /** The number of the previous session; 0 if there was none. */
  let previousRunner = 0;
  let stopping: Promise<void> | undefined;
  let graceMs = 0;

  const open = () =>
    openRunnerSession({
      ...{ url: options.directUrl, ...shared, queues },
      process: { host: hostname(), pid: process.pid, version, threads: pool.size },
      jobs: options.directUrl === options.databaseUrl ? null : database.sql,
      previousRunner,
      onAvailable: () => dispatcher?.claim(),
      onCancel: (id) => dispatcher?.cancel(id),
    });

  /** Tries until a session is open or the runner stops. */
  async function reopen(): Promise<Session | undefined> {
    let isReported = false;
    while (stopping === undefined) {
      try {
        return await open();
      } catch (error) {
        if (!isReported) log.error('runner.failed', { step: 'open a session', error });
        isReported = true;
        await sleep.for(isUnavailable(error) ? unavailableRetryMs : errorRetryMs);
      }
    }
    return undefined;
  }

  /** Works in one session after another until the runner stops. */
  async function work(first: Session | undefined): Promise<void> {
    let opened = first ?? (await reopen());
    while (opened !== undefined) {
      await workIn(opened);
      opened = stopping === undefined ? await reopen() : undefined;
    }
  }

  async function workIn(opened: Session): Promise<void> {
    const { runner, isClosed } = opened;
    const backoffOf = (task: string) => byName.get(task)?.backoff ?? unknownBackoff;
    const completer = createCompleter({ sql: database.sql, runner, isClosed, backoffOf, random, log });
    const own = createDispatcher({
      ...{ sql: database.sql, runner, pool, isolate, queues, completer, isClosed, log },
      definitions: byName,
      onScheduled: sleep.wakeWithin,
      metrics: jobMetrics,
    });
    session = opened;
    dispatcher = own;
    void opened.closed.then(sleep.wake);
    log.info('runner.started', { runner, pid: process.pid, threads: pool.size });
    // Take the jobs of the previous session back, unless other runners were faster. This process has not crashed.
    if (previousRunner !== 0)
      await takeOverFrom(previousRunner, own, { mayHaveCrashed: false }).catch(() => {});
    previousRunner = runner;
    own.claim();
    // A hanging poll or take-over must not delay the end of the session or a stop.
    await Promise.race([keepPolling(opened, own), opened.closed, stopRequested.promise]);
    if (!isClosed()) await own.drain(graceMs);
    // The session may have closed while it drained. Attempts that are left are aborted.
    if (isClosed()) log.warning('runner.lost', { runner, running: own.running() });
    session = undefined;
    await opened.close();
    await own.abandon();
  }

  async function keepPolling(opened: Session, own: Dispatcher): Promise<void> {
    while (stopping === undefined && !opened.isClosed()) {
      const waitMs = await pollOnce(opened, own);
      // A take-over can outlast its session. The next session sleeps by then, and only one caller may.
      if (stopping === undefined && !opened.isClosed()) await sleep.for(waitMs);
    }
  }

  /** Polls once and acts on the result. Resolves with the delay until the next poll, in milliseconds. */
  async function pollOnce(opened: Session, own: Dispatcher): Promise<number> {
    try {
      const poll = await opened.poll();
      for (const dead of poll.deadRunners) await takeOverFrom(dead, own);
      for (const id of poll.cancelRequested) own.cancel(id);
      own.onPoll(poll);
      if (poll.hasRunRequests) options.onRunRequest?.();
      return Math.max(minPollMs, Math.min(pollMs, poll.nextDueMs ?? pollMs));
    } catch (error) {
      if (!opened.isClosed()) log.warning('runner.failed', { runner: opened.runner, step: 'poll', error });
      return pollMs;
    }
  }

  async function takeOverFrom(dead: number, own: Dispatcher, options?: TakeOverOptions): Promise<void> {
    const taken = await database.transaction((sql) => takeOver(sql, dead, options));
    for (const { id, name, attempt, state, requestId, traceparent } of taken) {
      jobMetrics.finished(
        name,
        state === 'available' ? 'taken_over' : state === 'failed' ? 'failed' : 'cancelled',
        null,
      );
      log.warning('job.taken_over', {
        ...{ job_id: id, task: name, attempt, state, from_runner: dead },
        ...(requestId === null ? {} : { request_id: requestId }),
        // The lost attempt had a span of its own, which only its runner knew.
        ...(traceparent === null ? {} : { trace_id: parseTraceContext(traceparent, undefined)?.traceId }),
      });
    }
    if (taken.length > 0) own.claim();
  }

  async function updateQueueDepths(): Promise<void> {
    if (session === undefined) return;
    try {
      jobMetrics.setDepths(await findQueueDepths(database.sql, queues));
    } catch (error) {
      log.debug('runner.failed', { step: 'metrics', error });
    }
  }

  let first: Session | undefined;
  try {
    first = await open();
  } catch (error) {
    if (error instanceof StartError || !isUnavailable(error)) {
      await database.close(0);
      throw error;
    }
    log.error('runner.failed', { step: 'open a session', error });
  }
  pool.onFree(() => dispatcher?.dispatch());
  if (isolate !== pool) isolate.onFree(() => dispatcher?.dispatch());
  const working = work(first);
  const depthTimer = setInterval(updateQueueDepths, depthsEveryMs);
  void updateQueueDepths();

  return {
    id: () => session?.runner ?? 0,
    isReady: () => session !== undefined && !session.isClosed() && stopping === undefined,
    running: () => dispatcher?.running() ?? 0,
    stop(ms) {
      if (stopping !== undefined) return stopping;
      graceMs = ms;
      clearInterval(depthTimer);
      stopping = working.then(async () => {
        await database.close(closeSeconds);
        log.info('runner.stopped');
      });
      sleep.wake();
      stopRequested.resolve();
      return stopping;
    },
  };
}
