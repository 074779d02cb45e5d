/**
 * Computes when a cron expression fires in a time zone with daylight saving time. Two rules apply:
 *
 * - An expression for some hours of the day fires once per matching local time: at the first instant at which the clock
 *   shows that time or a later one. A time that is skipped in spring fires right after the gap, together with other
 *   times in the gap and at that instant; a time that occurs twice in autumn fires the first time.
 * - An expression for every hour follows the clock: it fires at each instant at which the clock shows a matching time.
 *   So `0 * * * *` and `0-59/5 * * * *` keep their interval, in both hours of autumn and without a gap in spring.
 */

import { type Cron, matches, nextMatch } from './cron.ts';
import { createLocalClock, type LocalClock } from './local-clock.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** A cron expression in a time zone. */
export interface Ticks {
  /** Returns the first tick after this time. */
  next(after: Date): Date;
  /** Returns the last tick after `after` and not after `until`; undefined if there is none. */
  latest(after: Date, until: Date): Date | undefined;
}

/** Throws an Error if the time zone does not exist. */
export function createTicks(cron: Cron, timeZone: string): Ticks {
  const clock = createLocalClock(timeZone);
  const nextTick = cron.hours.size === 24 ? nextShown : nextReached;
  const next = (after: number) => nextTick(cron, clock, Math.floor(after / minuteMs) * minuteMs);

  return {
    next: (after) => new Date(next(after.getTime())),
    latest(after, until) {
      // Bisection: the next tick after `early` is within `until`, the next after `late` is not. Both converge before
      // the last one.
      let [early, late] = [after.getTime(), until.getTime()];
      if (next(early) > late) return undefined;
      while (late - early > minuteMs) {
        const middle = Math.floor((early + late) / 2);
        if (next(middle) <= until.getTime()) early = middle;
        else late = middle;
      }
      return new Date(next(early));
    },
  };
}

/** The first rule: some hours of the day. */
function nextReached(cron: Cron, clock: LocalClock, after: number): number {
  let local = clock.read(after);
  for (;;) {
    local = nextMatch(cron, local);
    const tick = clock.reach(local);
    // A local time that occurs a second time was reached before.
    if (tick > after) return tick;
  }
}

/**
 * The second rule: every hour. Searches one day ahead, in which the clock changes at most once, and skips the time
 * between that day and the next match, because no change sets a clock back by a day.
 */
function nextShown(cron: Cron, clock: LocalClock, after: number): number {
  let from = after;
  for (;;) {
    const local = clock.read(from);
    const match = nextMatch(cron, local);
    const tick = from + match - local;
    const to = Math.min(tick, from + dayMs);
    const change = clock.nextChange(from, to);
    if (change === undefined && to === tick) return tick;
    if (change !== undefined && matches(cron, clock.read(change))) return change;
    from = change ?? Math.max(to, clock.reach(match) - 2 * dayMs);
  }
}
