/**
 * The scheduler: enqueues the jobs of schedules when their time has come. One runs in every process that runs jobs.
 *
 *     start ──> register ──> round ──> wait till the next tick, at most a minute ──> round ...
 *                  ^           │
 *                  └─ failed: tried again after a while; nothing is lost, as the table says how far it has come
 *
 * A round reads the database's clock and the table, and fires what is due: `last_tick` moves on and the job is added in
 * one transaction (`schedule.ts` says why that is once). A minute at most, for clocks are set, machines sleep, and Node
 * waits no longer than 24 days. Stopping waits for the round that runs, and begins no other.
 */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Queue } from '../queue.ts';
import { type CompiledSchedule, compileSchedules, type Schedule } from './schedule.ts';
import {
  advanceSchedule,
  databaseClock,
  listSchedules,
  registerSchedules,
  resetSchedule,
} from './schedule-store.ts';

export interface SchedulerOptions {
  readonly database: Pick<Database, 'sql' | 'transaction'>;
  readonly queue: Pick<Queue, 'enqueue'>;
  readonly schedules: readonly Schedule[];
  readonly log: Logger;
  /** What time it is; by default what the database says. */
  readonly clock?: (sql: Sql) => Promise<Date>;
}

export interface Scheduler {
  start(): void;
  /** Idempotent; resolves when no round is running. Never rejects. */
  stop(): Promise<void>;
  /** One round: registers the schedules if that is still to be done, fires what is due, and returns when to look again. */
  runOnce(): Promise<{ readonly waitMs: number }>;
}

const maxWaitMs = 60_000;
const retryMs = 2_000;
/**
 * A last tick that is further ahead of the clock than this was fired by a clock that was wrong. What is nearer is waited
 * for, so that a clock that is set back a little fires no tick twice.
 */
const aheadMs = 5 * 60_000;
/** A tick that is this late was missed: schedulers look once a minute, if nothing keeps them from it. */
const missedMs = 2 * maxWaitMs;

/** Throws a StartError for schedules that are wrong. */
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
  let working = Promise.resolve();

  async function runOnce(): Promise<{ readonly waitMs: number }> {
    const { sql } = database;
    const now = await clock(sql);
    if (!registered) await registerSchedules(sql, opened, now);
    registered = true;

    const rows = await listSchedules(sql);
    let waitMs = maxWaitMs;
    for (const schedule of opened) {
      const row = rows.find(({ name }) => name === schedule.name);
      // Another version of the program has taken the schedule over.
      if (row?.cron !== schedule.cron || row.timeZone !== schedule.timeZone) continue;
      if (row.lastTick.getTime() - now.getTime() > aheadMs) {
        if (!(await tryToReset(schedule, row.lastTick, now))) waitMs = retryMs;
        continue;
      }
      const tick = schedule.ticks.latest(row.lastTick, now);
      if (tick !== undefined && !(await tryToFire(schedule, tick, now))) waitMs = retryMs;
      waitMs = Math.min(waitMs, schedule.ticks.next(now).getTime() - now.getTime());
    }
    return { waitMs };
  }

  /** Resolves with whether there was no error. One schedule that fails keeps no other from its time. */
  async function tryToFire(schedule: CompiledSchedule, tick: Date, now: Date): Promise<boolean> {
    try {
      await fire(schedule, tick, now);
      return true;
    } catch (error) {
      log.warning('schedule.failed', { schedule: schedule.name, tick, error });
      return false;
    }
  }

  /** The clock was ahead when the last tick fired. From now on the ticks of the present time fire. */
  async function tryToReset(schedule: CompiledSchedule, lastTick: Date, now: Date): Promise<boolean> {
    const { name } = schedule;
    try {
      if (!(await resetSchedule(database.sql, schedule, lastTick, now))) return true;
      log.warning('schedule.clock_set_back', {
        ...{ schedule: name, last_tick: lastTick, now },
        advice: 'The clock of the database was ahead: look at what ran at the wrong time.',
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
      if (isSkipped) return null;
      const key = `${name}@${tick.toISOString()}`;
      return (await queue.enqueue(tx, task, schedule.payload(tick), { uniqueKey: key })).job;
    });
    if (job === undefined) return;
    const fields = { schedule: name, tick, late_ms: lateMs };
    if (job === null) log.info('schedule.skipped', fields);
    else log.info('schedule.fired', { ...fields, task: task.name, job_id: job.id });
  }

  function look(): void {
    working = runOnce()
      .then(
        ({ waitMs }) => {
          failing = false;
          return waitMs;
        },
        (error: unknown) => {
          // Said once, and not at every try: the database may be away for long.
          if (!failing) log.warning('schedule.failed', { error });
          failing = true;
          return retryMs;
        },
      )
      .then((waitMs) => {
        if (!stopped) timer = setTimeout(look, waitMs);
      });
  }

  return {
    runOnce,
    start() {
      if (opened.length > 0 && timer === undefined) timer = setTimeout(look, 0);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      return working;
    },
  };
}
