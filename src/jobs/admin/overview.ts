/**
 * What an operator wants to know of all jobs at a glance. Each part is paced (cached-read.ts), because a table of millions is
 * not counted every two seconds: what waits, what runs and who runs it is one part, through the partial indexes and in
 * one snapshot, for these figures are read against each other; what has finished by reading the table, which takes
 * longer the longer finished jobs are kept and is done accordingly seldom.
 */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import type { JobState } from '../job.ts';
import { lockClass } from '../runner/runner-store.ts';
import { cachedRead } from './cached-read.ts';
import { createMinuteStatistics, type MinuteStatistics } from './minute-statistics.ts';

/** Jobs of one task in one queue and one state. */
export interface JobCount {
  readonly queue: string;
  readonly task: string;
  readonly state: JobState;
  readonly jobs: number;
  /** Of those that wait, when the first was or is to run; null for other states. */
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
  /** Whether its session is there; else its process is gone, and nobody has taken its jobs over yet. */
  readonly alive: boolean;
}

export interface JobsOverview {
  /** What waits and what runs. */
  readonly active: readonly JobCount[];
  /** What has finished; undefined while it is being counted for the first time, or takes too long to count. */
  readonly finished: readonly JobCount[] | undefined;
  /** The queues that are paused, and since when. */
  readonly paused: ReadonlyMap<string, Date>;
  readonly runners: readonly RunnerReport[];
  /** The last hour, the oldest minute first; those that are not counted yet are left out. */
  readonly minutes: readonly MinuteStatistics[];
}

export interface OverviewReader {
  /** Rejects with the errors of the database. */
  read(): Promise<JobsOverview>;
  /** Somebody has changed jobs or queues by hand and wants to see it. */
  invalidate(): void;
}

/** How long one look may wait for each part, in milliseconds: the limit of a statement is shorter. */
const maxWaitMs = 3_000;
/** Finished jobs may still be being counted when the rest is shown. */
const maxFinishedWaitMs = 300;
const finishedTimeoutMs = 15_000;

/** Makes a reader over one database, which all who look share. */
export function createOverviewReader(database: Database): OverviewReader {
  const { sql } = database;
  const present = cachedRead(() => findPresent(database), { minTtlMs: 900 });
  const finished = cachedRead(() => countFinished(database), { minTtlMs: 4_500 });
  const minutes = cachedRead(createMinuteStatistics(sql), { minTtlMs: 1_800 });
  return {
    async read() {
      const [now, finishedLately, lastHour] = await Promise.all([
        present.read(maxWaitMs),
        finished.read(maxFinishedWaitMs).catch(unlessTooSlow),
        minutes.read(maxWaitMs),
      ]);
      if (now === undefined) {
        throw new AppError('database_timeout', 'The database takes too long to count the jobs: try again.');
      }
      return { ...now, finished: finishedLately, minutes: lastHour ?? [] };
    },
    invalidate() {
      for (const part of [present, finished]) part.invalidate();
    },
  };
}

function unlessTooSlow(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'database_timeout') return undefined;
  throw error;
}

/** In one snapshot, so that as many jobs run as the runners have. */
function findPresent({
  transaction,
}: Database): Promise<Pick<JobsOverview, 'active' | 'paused' | 'runners'>> {
  return transaction(
    async (sql) => ({
      active: await countActive(sql),
      paused: await findPaused(sql),
      runners: await findRunners(sql),
    }),
    { isolation: 'repeatable read' },
  );
}

/** One statement a state, for each has a partial index of its own. */
function countActive(sql: Sql): Promise<JobCount[]> {
  return sql<JobCount[]>`
    select queue, name as task, state, count(*) as jobs, min(run_at) as "firstRunAt"
    from jobs where state = 'available' group by queue, name, state
    union all
    select queue, name, state, count(*), min(run_at)
    from jobs where state = 'scheduled' group by queue, name, state
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
