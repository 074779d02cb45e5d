/**
 * A runner: what fetches jobs and has threads run them. It never looks at a clock to know whose a job is. It owns the
 * jobs that carry its number, as long as a session of PostgreSQL holds the lock of that number:
 *
 *               session opened            session over: connection broken, PostgreSQL restarted, ...
 *     opening ─────────────────> working ────────────────────────────────────> opening (with a new number)
 *        │                          │
 *        └────────── stop() ────────┴──> draining ──> stopped
 *
 *     working   wake-up (NOTIFY) or poll ──> claim ──> threads ──> record        dispatcher.ts, completer.ts
 *               poll, every 1.1 s        ──> promote what is due, cancel, take the jobs of dead runners over
 *
 * Where it can fail, and what then:
 *
 * - The process is killed: its lock is free at once, and the next poll of any runner takes its jobs over.
 * - The session ends and the process lives: its threads are told to end, and it begins anew. What they still wanted to
 *   write finds no row with their attempt and number (fencing). Nothing is claimed before they have ended.
 * - The process was paused and wakes up when others have its jobs: the same, as soon as it reads that its session is
 *   over; until then fencing alone keeps it from completing anything.
 * - A connection of the pool breaks, the session lives: writes are repeated, claims too (dispatcher.ts).
 * - PostgreSQL is away: a session is tried for every 100 ms.
 * - A wake-up is lost: the poll finds the job.
 *
 * To wait for the lock of another runner instead of polling would tell of its death at once, but a waiting statement
 * holds back VACUUM for the whole database for as long as it waits, which is for days.
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
import { findQueueDepths } from '../admin/queue-depths.ts';
import type { TaskDefinition } from '../task.ts';
import type { Isolate } from '../thread/isolate.ts';
import type { ThreadPool } from '../thread/thread-pool.ts';
import { createCompleter } from './completer.ts';
import { createDispatcher, type Dispatcher } from './dispatcher.ts';
import { createJobMetrics } from './job-metrics.ts';
import { type TakeOverOptions, takeOver } from './runner-store.ts';
import { openSession, type Session } from './session.ts';

/** What fetches jobs and has them run. */
export interface Runner {
  /** Its number, which running jobs carry; changes when it has lost its session and begins anew. 0 before the first. */
  id(): number;
  /** Whether it holds its lock and takes jobs. */
  isReady(): boolean;
  /** Attempts under way. */
  running(): number;
  /** Takes no more jobs, lets those that run finish within `graceMs`, releases the rest at once. Idempotent, never rejects. */
  stop(graceMs: number): Promise<void>;
}

export interface RunnerOptions {
  /** Where jobs are claimed and recorded; a pooler of transactions may stand in between. */
  readonly databaseUrl: string;
  /** Where the lock is held: the same database, with nothing in between but a pooler of sessions. */
  readonly directUrl: string;
  /** Connections to `databaseUrl`; by default 3. There is one more to `directUrl`. */
  readonly poolSize?: number;
  readonly connectTimeoutSeconds?: number;
  /** What `pg_stat_activity` shows for the connections. */
  readonly applicationName?: string;
  /** Every task it knows. It serves their queues. */
  readonly definitions: readonly TaskDefinition[];
  /** Its threads. Whoever made the pool closes it, after `stop`. */
  readonly pool: ThreadPool;
  /** Where suspects run: jobs whose runner was lost. By default the pool, and then they do not run alone. */
  readonly isolate?: Isolate;
  /** The version of the program, for the list of runners. */
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly pollMs?: number;
  /** For the delay before another attempt: from 0 to below 1. */
  readonly random?: () => number;
}

/**
 * What `stop` takes beyond its grace time at most, in milliseconds: 3 s for attempts that were told to end and their
 * records (`dispatcher.ts`), 2 s for the row (`session.ts`), 2 s for the connections. Only a thread that cannot be ended
 * (`supervised-thread.ts`) holds it longer.
 */
export const runnerStopMs = 7_000;

const statementTimeoutMs = 10_000;
const closeSeconds = 2;
const depthsMs = 15_000;
/** Between tries to open a session, while PostgreSQL is away; and when it refuses otherwise. */
const reopenMs = 100;
const refusedMs = 1_000;
/** However many jobs come due one after the other. */
const minPollMs = 25;
/** For a job whose task nobody here knows: a runner with newer code may be on its way. */
const unknownBackoff = { baseMs: 10_000, maxMs: 600_000 };

/**
 * Starts a runner. Resolves when it takes jobs; also when PostgreSQL cannot be reached just now, and then goes on
 * trying. Throws a StartError behind a pooler of transactions and if the URLs lead to different databases, and what
 * PostgreSQL refuses otherwise, such as to read a table that is not there.
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
    echo: false,
    connectTimeoutSeconds: shared.connectTimeoutSeconds,
    applicationName: shared.applicationName,
    log,
  });
  const jobMetrics = createJobMetrics(metrics, definitions, () => dispatcher?.running() ?? 0);
  const sleep = createInterruptibleSleep();
  let session: Session | undefined;
  let lastRunner = 0;
  let dispatcher: Dispatcher | undefined;
  let stopping: Promise<void> | undefined;
  let graceMs = 0;
  /** The number of the session before. */
  let former = 0;
  const stopAsked = createDeferred();

  const open = () =>
    openSession({
      ...{ url: options.directUrl, ...shared, queues },
      process: { host: hostname(), pid: process.pid, version, threads: pool.size },
      jobs: options.directUrl === options.databaseUrl ? null : database.sql,
      former,
      onAvailable: () => dispatcher?.claim(),
      onCancel: (id) => dispatcher?.cancel(id),
    });

  /** Tries until there is a session, or the runner is to stop. */
  async function reopen(): Promise<Session | undefined> {
    let isReported = false;
    while (stopping === undefined) {
      try {
        return await open();
      } catch (error) {
        if (!isReported) log.error('runner.failed', { step: 'open a session', error });
        isReported = true;
        await sleep.for(isUnavailable(error) ? reopenMs : refusedMs);
      }
    }
    return undefined;
  }

  /** Works from the first session until the runner is to stop. */
  async function work(first: Session | undefined): Promise<void> {
    let opened = first ?? (await reopen());
    while (opened !== undefined) {
      await workIn(opened);
      opened = stopping === undefined ? await reopen() : undefined;
    }
  }

  async function workIn(opened: Session): Promise<void> {
    const { runner, isOver } = opened;
    const backoffOf = (task: string) => byName.get(task)?.backoff ?? unknownBackoff;
    const completer = createCompleter({ sql: database.sql, runner, isOver, backoffOf, random, log });
    const own = createDispatcher({
      ...{ sql: database.sql, runner, pool, isolate, queues, completer, isOver, log },
      definitions: byName,
      onScheduled: sleep.wakeWithin,
      metrics: jobMetrics,
    });
    session = opened;
    dispatcher = own;
    former = runner;
    void opened.over.then(sleep.wake);
    log.info('runner.started', { runner, pid: process.pid, threads: pool.size });
    // Its own jobs of the session before it, unless others were faster: this process has not crashed.
    if (lastRunner !== 0) await takeOverFrom(lastRunner, own, { mayHaveCrashed: false }).catch(() => {});
    lastRunner = runner;
    own.claim();
    // A poll without an answer, or a take-over, holds up neither the end of the session nor a stop.
    await Promise.race([keepPolling(opened, own), opened.over, stopAsked.promise]);
    if (!isOver()) await own.drain(graceMs);
    // Both may have come: what cannot be let go in order any more is aborted.
    if (isOver()) log.warning('runner.lost', { runner, running: own.running() });
    session = undefined;
    await opened.close();
    await own.lose();
  }

  async function keepPolling(opened: Session, own: Dispatcher): Promise<void> {
    while (stopping === undefined && !opened.isOver()) await sleep.for(await pollOnce(opened, own));
  }

  /** Asks what there is to do, and begins it. Resolves with the milliseconds until it is to be asked again. */
  async function pollOnce(opened: Session, own: Dispatcher): Promise<number> {
    try {
      const poll = await opened.poll();
      for (const dead of poll.deadRunners) await takeOverFrom(dead, own);
      for (const id of poll.cancelRequested) own.cancel(id);
      own.polled(poll);
      return Math.max(minPollMs, Math.min(pollMs, poll.nextDueMs ?? pollMs));
    } catch (error) {
      if (!opened.isOver()) log.warning('runner.failed', { runner: opened.runner, step: 'poll', error });
      return pollMs;
    }
  }

  async function takeOverFrom(dead: number, own: Dispatcher, options?: TakeOverOptions): Promise<void> {
    const taken = await database.transaction((sql) => takeOver(sql, dead, options));
    for (const { id, name, attempt, state, requestId } of taken) {
      jobMetrics.finished(
        name,
        state === 'available' ? 'taken_over' : state === 'failed' ? 'failed' : 'cancelled',
        null,
      );
      log.warning('job.taken_over', {
        ...{ job_id: id, task: name, attempt, state, from_runner: dead },
        ...(requestId === null ? {} : { request_id: requestId }),
      });
    }
    if (taken.length > 0) own.claim();
  }

  async function lookAtQueues(): Promise<void> {
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
  pool.onFree(() => dispatcher?.proceed());
  if (isolate !== pool) isolate.onFree(() => dispatcher?.proceed());
  const working = work(first);
  const looking = setInterval(lookAtQueues, depthsMs);
  void lookAtQueues();

  return {
    id: () => session?.runner ?? 0,
    isReady: () => session !== undefined && !session.isOver() && stopping === undefined,
    running: () => dispatcher?.running() ?? 0,
    stop(ms) {
      if (stopping !== undefined) return stopping;
      graceMs = ms;
      clearInterval(looking);
      stopping = working.then(async () => {
        await database.close(closeSeconds);
        log.info('runner.stopped');
      });
      sleep.wake();
      stopAsked.resolve();
      return stopping;
    },
  };
}
