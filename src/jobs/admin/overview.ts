/**
 * The overview of all jobs for operators. Each part is cached (`cached-read.ts`), because a table of millions of rows
 * must not be counted every two seconds. Waiting and running jobs, paused queues, runners and schedules are one part: they are
 * read through partial indexes and in one snapshot, because operators compare these numbers. Finished jobs need a scan
 * of the table, which takes longer the more of them are kept, and runs less often accordingly.
 */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import { lockClass } from '../runner/runner-store.ts';
import { cachedRead } from './cached-read.ts';
import { createMinuteStatistics, type MinuteStatistics } from './minute-statistics.ts';
import { findSchedules, type ScheduleReport } from './schedules.ts';
import { type ShownState, shownState } from './shown-state.ts';

/** Jobs of one task in one queue and one state. */
export interface JobCount {
  readonly queue: string;
  readonly task: string;
  readonly state: ShownState;
  readonly jobs: number;
  /** The earliest `run_at` of waiting jobs; null for other states. */
  readonly firstRunAt: Date | null;
}

export interface RunnerReport {
  readonly id: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly threads: number;
  readonly startedAt: Date;
  readonly running: number;
  /** Whether its session holds the lock. If not, its process is gone and its jobs are not taken over yet. */
  readonly alive: boolean;
}

export interface JobsOverview {
  /** Waiting and running jobs. */
  readonly active: readonly JobCount[];
  /** Finished jobs; undefined during the first count, or if counting takes too long. */
  readonly finished: readonly JobCount[] | undefined;
  /** The paused queues, and since when they are paused. */
  readonly paused: ReadonlyMap<string, Date>;
  readonly runners: readonly RunnerReport[];
  readonly schedules: readonly ScheduleReport[];
  /** The last hour, oldest minute first, without minutes that are not counted yet. */
  readonly perMinute: readonly MinuteStatistics[];
}

export interface OverviewReader {
  /** Rejects with the errors of the database. */
  read(): Promise<JobsOverview>;
  /** Discards cached counts after an operator has changed jobs or queues. */
  invalidate(): void;
}

/** Maximum wait for each part, in milliseconds. The statement timeout is shorter. */
const maxWaitMs = 3_000;
/** The rest is returned while finished jobs are still being counted. */
const maxFinishedWaitMs = 300;
const finishedTimeoutMs = 15_000;

/** Creates a reader for one database. All clients share its cache. */
export function createOverviewReader(database: Database): OverviewReader {
  const { sql } = database;
  const present = cachedRead(() => findPresent(database), { minTtlMs: 900 });
  const finished = cachedRead(() => countFinished(database), { minTtlMs: 4_500 });
  const perMinute = cachedRead(createMinuteStatistics(sql), { minTtlMs: 1_800 });
  return {
    async read() {
      const [now, finishedCounts, lastHour] = await Promise.all([
        present.read(maxWaitMs),
        finished.read(maxFinishedWaitMs).catch(ignoreTimeout),
        perMinute.read(maxWaitMs),
      ]);
      if (now === undefined) {
        throw new AppError('database_timeout', 'The database needs too long to count the jobs: try again.');
      }
      return { ...now, finished: finishedCounts, perMinute: lastHour ?? [] };
    },
    invalidate() {
      for (const part of [present, finished]) part.invalidate();
    },
  };
}

function ignoreTimeout(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'database_timeout') return undefined;
  throw error;
}

/** Reads in one snapshot, so that the number of running jobs matches the runners. */
function findPresent({
  transaction,
}: Database): Promise<Pick<JobsOverview, 'active' | 'paused' | 'runners' | 'schedules'>> {
  return transaction(
    async (sql) => ({
      active: await countActive(sql),
      paused: await findPaused(sql),
      runners: await findRunners(sql),
      schedules: await findSchedules(sql),
    }),
    { isolation: 'repeatable read' },
  );
}

/** One select per state of the table, because each has a partial index of its own. */
function countActive(sql: Sql): Promise<JobCount[]> {
  return sql<JobCount[]>`
    select queue, name as task, state, count(*) as jobs, min(run_at) as "firstRunAt"
    from jobs where state = 'available' group by queue, name, state
    union all
    select queue, name, shown, count(*), min(run_at)
    from (select queue, name, run_at, ${shownState(sql)} as shown from jobs where state = 'scheduled') as scheduled
    group by queue, name, shown
    union all
    select queue, name, state, count(*), null
    from jobs where state = 'running' group by queue, name, state`;
}

function countFinished(database: Database): Promise<JobCount[]> {
  return database.transaction(async (sql) => {
    await sql`select set_config('statement_timeout', ${String(finishedTimeoutMs)}, true)`;
    return sql<JobCount[]>`
      select queue, name as task, state, count(*) as jobs, null as "firstRunAt"
      from jobs where finished_at is not null group by queue, name, state`;
  });
}

async function findPaused(sql: Sql): Promise<ReadonlyMap<string, Date>> {
  const rows = await sql<{ name: string; pausedAt: Date }[]>`
    select name, paused_at as "pausedAt" from job_queues where paused_at is not null order by name`;
  return new Map(rows.map(({ name, pausedAt }) => [name, pausedAt]));
}

function findRunners(sql: Sql): Promise<RunnerReport[]> {
  return sql<RunnerReport[]>`
    select id, host, pid, version, threads, started_at as "startedAt",
      (select count(*) from jobs where state = 'running' and runner = job_runners.id) as running,
      exists (
        select from pg_locks
        where locktype = 'advisory' and granted and objsubid = 2
          and classid = ${lockClass}::integer::oid and objid = job_runners.id::oid
          and database = (select oid from pg_database where datname = current_database())
      ) as alive
    from job_runners order by started_at, id limit 200`;
}
