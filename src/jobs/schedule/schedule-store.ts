/** The table `job_schedules`. Each function is one statement, and rejects with the errors of the database. */

import { onlyRow, type Sql } from '../../db/sql.ts';
import type { Schedule } from './schedule.ts';

/** A schedule as the table has it. */
export interface ScheduleRow {
  readonly name: string;
  readonly cron: string;
  readonly timeZone: string;
  /** The last tick that was handled. */
  readonly lastTick: Date;
  /** While it is set, nothing is enqueued. */
  readonly pausedAt: Date | null;
  /** When an operator requested a job that is not enqueued yet. */
  readonly runRequestedAt: Date | null;
}

/** Reads the clock of the database, which all schedulers use instead of the clock of their machine. */
export async function databaseClock(sql: Sql): Promise<Date> {
  const rows = await sql<{ now: Date }[]>`select clock_timestamp() as now`;
  return onlyRow(rows).now;
}

/** Writes the declared schedules to the table. New and changed ones start at `now`; the others continue. */
export async function registerSchedules(
  sql: Sql,
  schedules: readonly Pick<Schedule, 'name' | 'cron' | 'timeZone'>[],
  now: Date,
): Promise<void> {
  const names = schedules.map(({ name }) => name);
  await sql`
    with gone as (
      delete from job_schedules where name <> all(${names}::text[])
    )
    insert into job_schedules as known (name, cron, time_zone, last_tick)
    select name, cron, time_zone, ${now}::timestamptz
    from unnest(
      ${names}::text[],
      ${schedules.map(({ cron }) => cron)}::text[],
      ${schedules.map(({ timeZone }) => timeZone)}::text[]
    ) as declared (name, cron, time_zone)
    order by name
    on conflict (name) do update set
      cron = excluded.cron,
      time_zone = excluded.time_zone,
      last_tick = greatest(known.last_tick, excluded.last_tick)
    where (known.cron, known.time_zone) <> (excluded.cron, excluded.time_zone)`;
}

export function listSchedules(sql: Sql): Promise<ScheduleRow[]> {
  return sql<ScheduleRow[]>`
    select name, cron, time_zone as "timeZone", last_tick as "lastTick", paused_at as "pausedAt",
      run_requested_at as "runRequestedAt"
    from job_schedules order by name`;
}

/** Marks a tick as handled. Returns false if it was handled before, or if the schedule has changed or is paused. */
export async function advanceSchedule(
  sql: Sql,
  { name, cron, timeZone }: Pick<Schedule, 'name' | 'cron' | 'timeZone'>,
  tick: Date,
): Promise<boolean> {
  const { count } = await sql`
    update job_schedules set last_tick = ${tick}
    where name = ${name} and cron = ${cron} and time_zone = ${timeZone} and last_tick < ${tick} and paused_at is null`;
  return count === 1;
}

/** Takes the request of an operator. Returns false if there is none, or if the schedule has changed. */
export async function takeRunRequest(
  sql: Sql,
  { name, cron, timeZone }: Pick<Schedule, 'name' | 'cron' | 'timeZone'>,
): Promise<boolean> {
  const { count } = await sql`
    update job_schedules set run_requested_at = null
    where name = ${name} and cron = ${cron} and time_zone = ${timeZone} and run_requested_at is not null`;
  return count === 1;
}

/** Records the job that was enqueued for a schedule, for the list of schedules. */
export async function recordRun(sql: Sql, name: string, job: number): Promise<void> {
  await sql`update job_schedules set last_run_at = clock_timestamp(), last_job = ${job} where name = ${name}`;
}

/** Sets the last tick back to `now`, so that later ticks fire again. Returns false if the last tick has changed. */
export async function resetSchedule(
  sql: Sql,
  { name, cron, timeZone }: Pick<Schedule, 'name' | 'cron' | 'timeZone'>,
  lastTick: Date,
  now: Date,
): Promise<boolean> {
  const { count } = await sql`
    update job_schedules set last_tick = ${now}
    where name = ${name} and cron = ${cron} and time_zone = ${timeZone} and last_tick = ${lastTick}`;
  return count === 1;
}
