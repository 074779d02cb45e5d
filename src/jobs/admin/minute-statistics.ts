/**
 * What became of jobs minute by minute: how many finished and how, how long they had waited, how long they ran.
 *
 *     oldest           final.from                      final.until        newest
 *       │  not known yet  │   computed once and kept        │   computed    │
 *       │ <── a look goes on as far as its time allows      │   with each   │
 *
 * The last minutes are computed with each look, for jobs may still be committed in them. Of the past a look computes
 * twice as many minutes with each statement while its budget lasts: nobody knows beforehand how many jobs they have.
 */

import type { Sql } from '../../db/sql.ts';

/** Half of the jobs took at most `p50` milliseconds, 95 of 100 at most `p95`. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

export interface MinuteStatistics {
  readonly start: Date;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** From the time at which the job was to run to the start of its last attempt; null if none has started. */
  readonly wait: Percentiles | null;
  /** How long its last attempt took. */
  readonly run: Percentiles | null;
}

const minuteMs = 60_000;
const shownMs = 60 * minuteMs;
/** What nobody has looked at for longer is not caught up with in one statement. */
const catchUpMs = 5 * minuteMs;
/** How long one look may compute the past, in milliseconds. */
const budgetMs = 250;

/**
 * Makes the function that looks. It gives the last hour, the oldest minute first, without those that are not known yet;
 * rejects with the errors of the database. One look at a time. `now` is milliseconds since 1970.
 */
export function createMinuteStatistics(
  sql: Sql,
  now: () => number = Date.now,
): () => Promise<readonly MinuteStatistics[]> {
  const known = new Map<number, MinuteStatistics>();
  const final = { from: 0, until: 0 };

  async function look(): Promise<readonly MinuteStatistics[]> {
    const startedAt = now();
    const end = Math.floor(startedAt / minuteMs) * minuteMs + minuteMs;
    const oldest = end - shownMs;
    const changing = end - 2 * minuteMs;
    if (changing - final.until > catchUpMs) Object.assign(final, { from: changing, until: changing });
    await find(Math.min(final.until, changing), end);
    final.until = changing;
    for (let minutes = 1; final.from > oldest && now() - startedAt <= budgetMs; minutes *= 2) {
      const from = Math.max(oldest, final.from - minutes * minuteMs);
      await find(from, final.from);
      final.from = from;
    }
    for (const start of known.keys()) if (start < Math.max(oldest, final.from)) known.delete(start);
    return [...known.values()].sort((a, b) => a.start.getTime() - b.start.getTime());
  }

  async function find(from: number, until: number): Promise<void> {
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
      const spreads = { wait: spread(waitP50, waitP95), run: spread(runP50, runP95) };
      known.set(start.getTime(), { start, ...counts, ...spreads });
    }
  }

  return look;
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

/** The minutes of a range in which jobs finished. */
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
        ) filter (where started_at is not null) as wait,
        percentile_disc(array[0.5, 0.95]) within group (
          order by greatest(0, extract(epoch from finished_at - started_at)::float8 * 1000)
        ) filter (where started_at is not null) as run
      from jobs
      where state in ('completed', 'failed', 'cancelled')
        and finished_at >= ${new Date(fromMs)} and finished_at < ${new Date(untilMs)}
      group by date_trunc('minute', finished_at)
    ) as minute`;
}

function spread(p50: number | null, p95: number | null): Percentiles | null {
  return p50 === null || p95 === null ? null : { p50, p95 };
}
