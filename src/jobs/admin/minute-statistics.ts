/**
 * Statistics of finished jobs per minute: how many completed, failed or were cancelled, how long they waited and ran.
 *
 *     oldest           final.from                      final.until        newest
 *       │  not read yet   │      read once and cached      │   read again    │
 *       │ <── extended backwards within the time budget    │   every time    │
 *
 * The last two minutes are read every time, because jobs may still be committed in them. Each call also extends the
 * past while its time budget lasts, and doubles the number of minutes per statement, because the number of jobs per
 * minute is not known beforehand.
 */

import type { Sql } from '../../db/sql.ts';

/** Percentiles in milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

export interface MinuteStatistics {
  readonly start: Date;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Time from `run_at` to the start of the last attempt; null if no job ran. */
  readonly wait: Percentiles | null;
  /** Duration of the last attempt; null as above. */
  readonly run: Percentiles | null;
}

const minuteMs = 60_000;
const shownMs = 60 * minuteMs;
/** A longer gap since the last call is not read in one statement; the past is then read again within the budget. */
const maxCatchUpMs = 5 * minuteMs;
/** Time budget of one call for reading the past, in milliseconds. */
const budgetMs = 250;

/**
 * Creates the read function. It returns the last hour, oldest minute first, without the minutes that are not read yet,
 * and rejects with the errors of the database. One call at a time. `now` returns milliseconds since 1970.
 */
export function createMinuteStatistics(
  sql: Sql,
  now: () => number = Date.now,
): () => Promise<readonly MinuteStatistics[]> {
  const known = new Map<number, MinuteStatistics>();
  const final = { from: 0, until: 0 };

  async function read(): Promise<readonly MinuteStatistics[]> {
    const startedAt = now();
    const end = Math.floor(startedAt / minuteMs) * minuteMs + minuteMs;
    const oldest = end - shownMs;
    const changing = end - 2 * minuteMs;
    if (changing - final.until > maxCatchUpMs) Object.assign(final, { from: changing, until: changing });
    await load(Math.min(final.until, changing), end);
    final.until = changing;
    for (let minutes = 1; final.from > oldest && now() - startedAt <= budgetMs; minutes *= 2) {
      const from = Math.max(oldest, final.from - minutes * minuteMs);
      await load(from, final.from);
      final.from = from;
    }
    for (const start of known.keys()) if (start < Math.max(oldest, final.from)) known.delete(start);
    return [...known.values()].sort((a, b) => a.start.getTime() - b.start.getTime());
  }

  async function load(from: number, until: number): Promise<void> {
    for (let start = from; start < until; start += minuteMs) {
      known.set(start, {
        start: new Date(start),
        completed: 0,
        failed: 0,
        cancelled: 0,
        wait: null,
        run: null,
      });
    }
    for (const { start, waitP50, waitP95, runP50, runP95, ...counts } of await findMinutes(
      sql,
      from,
      until,
    )) {
      const times = { wait: percentiles(waitP50, waitP95), run: percentiles(runP50, runP95) };
      known.set(start.getTime(), { start, ...counts, ...times });
    }
  }

  return read;
}

interface MinuteRow {
  readonly start: Date;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly waitP50: number | null;
  readonly waitP95: number | null;
  readonly runP50: number | null;
  readonly runP95: number | null;
}

/** Returns the minutes of a range in which jobs finished. */
function findMinutes(sql: Sql, fromMs: number, untilMs: number): Promise<MinuteRow[]> {
  return sql<MinuteRow[]>`
    select start, completed, failed, cancelled,
      wait[1] as "waitP50", wait[2] as "waitP95", run[1] as "runP50", run[2] as "runP95"
    from (
      select
        date_trunc('minute', finished_at) as start,
        count(*) filter (where state = 'completed') as completed,
        count(*) filter (where state = 'failed') as failed,
        count(*) filter (where state = 'cancelled') as cancelled,
        percentile_disc(array[0.5, 0.95]) within group (
          order by greatest(0, extract(epoch from started_at - run_at)::float8 * 1000)
        ) filter (where ${hasRun(sql)}) as wait,
        percentile_disc(array[0.5, 0.95]) within group (
          order by greatest(0, extract(epoch from finished_at - started_at)::float8 * 1000)
        ) filter (where ${hasRun(sql)}) as run
      from jobs
      where state in ('completed', 'failed', 'cancelled')
        and finished_at >= ${new Date(fromMs)} and finished_at < ${new Date(untilMs)}
      group by date_trunc('minute', finished_at)
    ) as minute`;
}

/**
 * Excludes jobs that were cancelled while they waited. `started_at` is then null, or the start of an attempt before the
 * wait, and every wait begins with a new `run_at`.
 */
function hasRun(sql: Sql) {
  return sql`started_at >= run_at`;
}

function percentiles(p50: number | null, p95: number | null): Percentiles | null {
  return p50 === null || p95 === null ? null : { p50, p95 };
}
