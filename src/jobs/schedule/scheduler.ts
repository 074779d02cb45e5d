/**
 * The scheduler enqueues the jobs of schedules when they are due. It runs in every process that runs jobs.
 *
 *     start ──> register ──> round ──> wait until the next tick, at most a minute, or until woken ──> round ...
 *                  ^           │
 *                  └─ failed: retried after 2 s; nothing is lost, because the table has the last handled tick
 *
 * A round reads the database's clock and the table and fires the ticks that are due: one transaction advances
 * `last_tick` and adds the job (`schedule.ts` explains why that happens once). It waits at most a minute, because
 * clocks are changed, machines sleep, and a timer of Node is limited to 24 days. Stopping waits for the current round
 * and starts no other.
 *
 * Operators pause schedules and request jobs outside of the ticks in the table (`admin/schedules.ts`). A round enqueues
 * the requested jobs; the runner, which polls the database anyway, notices a request and wakes the scheduler.
 */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Job } from '../job.ts';
import type { Queue } from '../queue.ts';
import { type CompiledSchedule, compileSchedules, type Schedule } from './schedule.ts';
import {
  advanceSchedule,
  databaseClock,
  listSchedules,
  recordRun,
  registerSchedules,
  resetSchedule,
  takeRunRequest,
} from './schedule-store.ts';

export interface SchedulerOptions {
  readonly database: Pick<Database, 'sql' | 'transaction'>;
  readonly queue: Pick<Queue, 'enqueue'>;
  readonly schedules: readonly Schedule[];
  readonly log: Logger;
  /** Returns the current time; by default that of the database. */
  readonly clock?: (sql: Sql) => Promise<Date>;
}

export interface Scheduler {
  start(): void;
  /** Starts the next round now. Does nothing during a round, and before the start. */
  wake(): void;
  /** Resolves when no round is running. Idempotent; never rejects. */
  stop(): Promise<void>;
  /**
   * Runs one round: registers the schedules if necessary, fires due ticks, and returns the delay until the next round.
   */
  runOnce(): Promise<{ readonly waitMs: number }>;
}

const maxWaitMs = 60_000;
const retryMs = 2_000;
/**
 * If the last tick is further ahead of the clock than this, a wrong clock has fired it, and the schedule continues from the
 * present. If it is less far ahead, the schedule waits until then, so that a clock that is set back a little fires no tick twice.
 */
const maxAheadMs = 5 * 60_000;
/** A tick that fires later than this was missed while no scheduler ran, because a running scheduler checks once a minute. */
const missedMs = 2 * maxWaitMs;

/** Throws a StartError for invalid schedules. */
export function createScheduler({
  database,
  queue,
  schedules,
  log,
  clock = databaseClock,
}: SchedulerOptions): Scheduler {
  const opened = compileSchedules(schedules);
  let registered = false;
  let failing = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let isWaiting = false;
  let round = Promise.resolve();

  async function runOnce(): Promise<{ readonly waitMs: number }> {
    const { sql } = database;
    const now = await clock(sql);
    if (!registered) await registerSchedules(sql, opened, now);
    registered = true;

    const rows = await listSchedules(sql);
    let waitMs = maxWaitMs;
    for (const schedule of opened) {
      const row = rows.find(({ name }) => name === schedule.name);
      // Another version of the program owns the schedule.
      if (row?.cron !== schedule.cron || row.timeZone !== schedule.timeZone) continue;
      if (row.lastTick.getTime() - now.getTime() > maxAheadMs) {
        if (!(await tryToReset(schedule, row.lastTick, now))) waitMs = retryMs;
        continue;
      }
      if (row.runRequestedAt !== null && !(await tryToRun(schedule, row.runRequestedAt, now)))
        waitMs = retryMs;
      const tick = row.pausedAt === null ? schedule.ticks.latest(row.lastTick, now) : undefined;
      if (tick !== undefined && !(await tryToFire(schedule, tick, now))) waitMs = retryMs;
      waitMs = Math.min(waitMs, schedule.ticks.next(now).getTime() - now.getTime());
    }
    return { waitMs };
  }

  /** Returns whether it succeeded. A failure of one schedule must not delay the others. */
  async function tryToFire(schedule: CompiledSchedule, tick: Date, now: Date): Promise<boolean> {
    try {
      await fire(schedule, tick, now);
      return true;
    } catch (error) {
      log.warning('schedule.failed', { schedule: schedule.name, tick, error });
      return false;
    }
  }

  /** Enqueues the job that an operator requested. Returns whether it succeeded. */
  async function tryToRun(schedule: CompiledSchedule, requestedAt: Date, now: Date): Promise<boolean> {
    const { name, task } = schedule;
    try {
      const job = await database.transaction(async (tx) =>
        (await takeRunRequest(tx, schedule)) ? enqueue(tx, schedule, now) : undefined,
      );
      if (job === undefined) return true;
      const fields = {
        schedule: name,
        tick: now,
        requested_at: requestedAt,
        task: task.name,
        job_id: job.id,
      };
      log.info('schedule.fired', fields);
      return true;
    } catch (error) {
      log.warning('schedule.failed', { schedule: name, requested_at: requestedAt, error });
      return false;
    }
  }

  /** Resets a schedule whose last tick was fired by a clock that was ahead. Returns whether it succeeded. */
  async function tryToReset(schedule: CompiledSchedule, lastTick: Date, now: Date): Promise<boolean> {
    const { name } = schedule;
    try {
      if (!(await resetSchedule(database.sql, schedule, lastTick, now))) return true;
      log.warning('schedule.clock_set_back', {
        ...{ schedule: name, last_tick: lastTick, now },
        advice: 'The clock of the database was ahead: check the jobs that ran at the wrong time.',
      });
      return true;
    } catch (error) {
      log.warning('schedule.failed', { schedule: name, error });
      return false;
    }
  }

  async function fire(schedule: CompiledSchedule, tick: Date, now: Date): Promise<void> {
    const { name, task, catchUp } = schedule;
    const lateMs = now.getTime() - tick.getTime();
    const isSkipped = catchUp === 'skip' && lateMs >= missedMs;
    const job = await database.transaction(async (tx) => {
      if (!(await advanceSchedule(tx, schedule, tick))) return undefined;
      return isSkipped ? null : enqueue(tx, schedule, tick);
    });
    if (job === undefined) return;
    const fields = { schedule: name, tick, late_ms: lateMs };
    if (job === null) log.info('schedule.skipped', fields);
    else log.info('schedule.fired', { ...fields, task: task.name, job_id: job.id });
  }

  async function enqueue(tx: Sql, { name, task, payload }: CompiledSchedule, tick: Date): Promise<Job> {
    const key = `${name}@${tick.toISOString()}`;
    const { job } = await queue.enqueue(tx, task, payload(tick), { uniqueKey: key });
    await recordRun(tx, name, job.id);
    return job;
  }

  function runRound(): void {
    isWaiting = false;
    round = runOnce()
      .then(
        ({ waitMs }) => {
          failing = false;
          return waitMs;
        },
        (error: unknown) => {
          // Log once, not at every retry: the database may be unreachable for long.
          if (!failing) log.warning('schedule.failed', { error });
          failing = true;
          return retryMs;
        },
      )
      .then((waitMs) => {
        if (stopped) return;
        timer = setTimeout(runRound, waitMs);
        isWaiting = true;
      });
  }

  return {
    runOnce,
    start() {
      if (opened.length > 0 && timer === undefined) timer = setTimeout(runRound, 0);
    },
    wake() {
      if (!isWaiting || stopped) return;
      clearTimeout(timer);
      runRound();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      return round;
    },
  };
}
