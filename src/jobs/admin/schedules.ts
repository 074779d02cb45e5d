/**
 * The schedules for operators: a list with the last and the next run, and pausing, resuming and running a schedule. Every
 * scheduler follows the table `job_schedules`, so a pause applies to all processes and outlives restarts.
 *
 * - A pause that commits is complete: a scheduler fires a tick only by an update that finds the schedule not paused.
 * - Ticks during a pause are skipped. A resumed schedule continues with the next tick.
 * - A requested run is enqueued by a scheduler, within about a second (`schedule/scheduler.ts`). While no process runs
 *   jobs, the request waits.
 */

import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import { parseCron } from '../schedule/cron.ts';
import { createTicks } from '../schedule/cron-ticks.ts';
import { type ShownState, shownState } from './shown-state.ts';

export interface ScheduleReport {
  readonly name: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly pausedAt: Date | null;
  /** When an operator requested a run that is not enqueued yet. */
  readonly runRequestedAt: Date | null;
  readonly lastRunAt: Date | null;
  /** The job of the last run; its state is null if the job was pruned. */
  readonly lastJob: { readonly id: number; readonly state: ShownState | null } | null;
  /** Null while it is paused, and for an expression that this version of the program cannot read. */
  readonly nextRunAt: Date | null;
}

interface ScheduleRow extends Omit<ScheduleReport, 'lastJob' | 'nextRunAt'> {
  readonly lastJobId: number | null;
  readonly lastJobState: ShownState | null;
  readonly now: Date;
}

/** Returns all schedules by name. */
export async function findSchedules(sql: Sql): Promise<ScheduleReport[]> {
  const rows = await sql<ScheduleRow[]>`
    select name, cron, time_zone as "timeZone", paused_at as "pausedAt", run_requested_at as "runRequestedAt",
      last_run_at as "lastRunAt", last_job as "lastJobId",
      (select ${shownState(sql)} from jobs where id = job_schedules.last_job) as "lastJobState",
      clock_timestamp() as now
    from job_schedules order by name`;
  return rows.map(({ lastJobId, lastJobState, now, ...row }) => ({
    ...row,
    lastJob: lastJobId === null ? null : { id: lastJobId, state: lastJobState },
    nextRunAt: row.pausedAt === null ? nextRun(row, now) : null,
  }));
}

function nextRun({ cron, timeZone }: Pick<ScheduleRow, 'cron' | 'timeZone'>, now: Date): Date | null {
  try {
    return createTicks(parseCron(cron), timeZone).next(now);
  } catch {
    // Another version of the program wrote the row.
    return null;
  }
}

/** Pauses a schedule, and withdraws a requested run. Idempotent. Rejects with an AppError `not_found`. */
export async function pauseSchedule(sql: Sql, name: string): Promise<void> {
  const { count } = await sql`
    update job_schedules set paused_at = coalesce(paused_at, now()), run_requested_at = null where name = ${name}`;
  if (count === 0) throw noSuchSchedule(name);
}

/** Resumes a schedule. Idempotent. Rejects with an AppError `not_found`. */
export async function resumeSchedule(sql: Sql, name: string): Promise<void> {
  const { count } = await sql`
    update job_schedules set
      last_tick = case when paused_at is null then last_tick else greatest(last_tick, clock_timestamp()) end,
      paused_at = null
    where name = ${name}`;
  if (count === 0) throw noSuchSchedule(name);
}

/**
 * Requests one job of a schedule now. Idempotent until the job is enqueued. Rejects with an AppError: `not_found`, or
 * `conflict` if the schedule is paused.
 */
export async function requestRun(sql: Sql, name: string): Promise<void> {
  const { count } = await sql`
    update job_schedules set run_requested_at = coalesce(run_requested_at, clock_timestamp())
    where name = ${name} and paused_at is null`;
  if (count === 1) return;
  const known = await sql`select from job_schedules where name = ${name}`;
  if (known.length === 0) throw noSuchSchedule(name);
  throw new AppError('conflict', `The schedule ${name} is paused: resume it first.`);
}

function noSuchSchedule(name: string): AppError {
  return new AppError('not_found', `There is no schedule ${name}.`);
}
