/**
 * When a cron expression fires, in a time zone whose clocks are changed twice a year. The two rules:
 *
 * - An expression for some hours of the day fires once for each of its local times: at the first instant at which the
 *   clock shows that time or has passed it. A time that is skipped in spring fires right after the gap, together with
 *   others of the gap and of that instant; one that comes twice in autumn fires the first time.
 * - An expression for every hour follows the clock: it fires at each instant at which the clock shows a time of it. So
 *   `0 * * * *` and `0-59/5 * * * *` go on at their pace, in both hours of autumn, and nothing is skipped in spring.
 */

import { type Cron, matches, nextMatch } from './cron.ts';
import { createLocalClock, type LocalClock } from './local-clock.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** A cron expression in a time zone. */
export interface Ticks {
  /** The first tick after this time. */
  next(after: Date): Date;
  /** The last tick after the one time and not after the other, if there is one. */
  latest(after: Date, until: Date): Date | undefined;
}

/** Throws an Error with a sentence if there is no such time zone. */
export function createTicks(cron: Cron, timeZone: string): Ticks {
  const clock = createLocalClock(timeZone);
  const nextTick = cron.hours.size === 24 ? nextShown : nextReached;
  const next = (after: number) => nextTick(cron, clock, Math.floor(after / minuteMs) * minuteMs);

  return {
    next: (after) => new Date(next(after.getTime())),
    latest(after, until) {
      // From `early` a tick comes in time, from `late` it does not: the last one is the first after where this turns.
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

/** The first rule. */
function nextReached(cron: Cron, clock: LocalClock, after: number): number {
  let local = clock.read(after);
  for (;;) {
    local = nextMatch(cron, local);
    const tick = clock.reach(local);
    // What the clock shows for the second time has been reached before.
    if (tick > after) return tick;
  }
}

/**
 * The second rule. It looks a day ahead, in which the clock may be changed once; and over what lies between that day and
 * the next match, for no change takes the clock back by a day.
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
