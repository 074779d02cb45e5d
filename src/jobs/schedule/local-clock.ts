/**
 * The clock on the wall of a time zone, as far as cron needs it. A local time is written as the milliseconds of the UTC
 * time with the same digits, so that calendar arithmetic is that of UTC: 2:30 in Berlin is `Date.UTC(…, 2, 30)`.
 *
 * `Intl` says how far a zone is from UTC at an instant, and no more. What follows from it here:
 *
 *     spring   1:59 -> 3:00   `reach(2:30)` is the instant of 3:00, the first at which the clock has passed 2:30
 *     autumn   2:59 -> 2:00   `reach(2:30)` is the first of the two instants that show 2:30
 *
 * Two changes of one zone are assumed to be more than two days apart, which they have been everywhere since 1970.
 */

const minuteMs = 60_000;
const dayMs = 86_400_000;

export interface LocalClock {
  /** What the clock shows at an instant. */
  read(instant: number): number;
  /** The first instant at which the clock shows this time or, if it jumps over it, a later one. */
  reach(local: number): number;
  /** The first instant after `from` and up to `to`, at most a day later, at which the clock has been changed. */
  nextChange(from: number, to: number): number | undefined;
}

/** Opens the clock of an IANA zone such as `Europe/Berlin`. Throws an Error with a sentence if there is no such zone. */
export function createLocalClock(timeZone: string): LocalClock {
  const format = openFormat(timeZone);

  /** Milliseconds that the zone is ahead of UTC. */
  function offset(instant: number): number {
    const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] =
      /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(format.format(instant)) ?? [];
    const size = (Number(hours) * 60 + Number(minutes)) * minuteMs + Number(seconds) * 1000;
    return sign === '-' ? -size : size;
  }

  const read = (instant: number) => instant + offset(instant);

  /** The first whole minute in (from, to] for which `holds`, which holds for `to` and for all after the first. */
  function first(from: number, to: number, holds: (instant: number) => boolean): number {
    let [before, after] = [from, to];
    while (after - before > minuteMs) {
      const middle = before + Math.ceil((after - before) / 2 / minuteMs) * minuteMs;
      if (holds(middle)) after = middle;
      else before = middle;
    }
    return after;
  }

  return {
    read,
    reach(local) {
      // No zone is a day from UTC, so these are its offsets before and after.
      const offsets = [offset(local - dayMs), offset(local + dayMs)];
      const earlier = local - Math.max(...offsets);
      const later = local - Math.min(...offsets);
      if (read(earlier) === local) return earlier;
      return read(later) === local ? later : first(earlier, later, (instant) => read(instant) >= local);
    },
    nextChange(from, to) {
      const former = offset(from);
      return offset(to) === former ? undefined : first(from, to, (instant) => offset(instant) !== former);
    },
  };
}

function openFormat(timeZone: string): Intl.DateTimeFormat {
  try {
    // An offset such as +02:00 is a zone to newer versions of Node alone.
    if (/^[+-]/.test(timeZone)) throw new RangeError('It is an offset.');
    return new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  } catch (cause) {
    throw new Error(
      `There is no time zone ${JSON.stringify(timeZone)}: use a name of the IANA database, such as UTC or Europe/Berlin.`,
      { cause },
    );
  }
}
