/**
 * The local clock of a time zone, as far as cron needs it. A local time is represented as the milliseconds of the UTC
 * time with the same digits, so calendar arithmetic is that of UTC: 2:30 in Berlin is `Date.UTC(…, 2, 30)`.
 *
 * `Intl` provides only the offset of a zone from UTC at an instant. This file derives from it:
 *
 *     spring   1:59 -> 3:00   `reach(2:30)` is the instant of 3:00, the first at which the clock is past 2:30
 *     autumn   2:59 -> 2:00   `reach(2:30)` is the first of the two instants that show 2:30
 *
 * It assumes that two changes of one zone are more than two days apart, which has been true everywhere since 1970.
 */

const minuteMs = 60_000;
const dayMs = 86_400_000;

export interface LocalClock {
  /** Returns the local time at an instant. */
  read(instant: number): number;
  /** Returns the first instant at which the clock shows this local time or, if it skips it, a later one. */
  reach(local: number): number;
  /** Returns the instant of the first clock change in (from, to]; `to` is at most a day after `from`. */
  nextChange(from: number, to: number): number | undefined;
}

/** Creates the clock of an IANA zone such as `Europe/Berlin`. Throws an Error if the zone does not exist. */
export function createLocalClock(timeZone: string): LocalClock {
  const format = openFormat(timeZone);

  /** Returns how far the zone is ahead of UTC, in milliseconds. */
  function offset(instant: number): number {
    const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] =
      /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(format.format(instant)) ?? [];
    const size = (Number(hours) * 60 + Number(minutes)) * minuteMs + Number(seconds) * 1000;
    return sign === '-' ? -size : size;
  }

  const read = (instant: number) => instant + offset(instant);

  /** Returns the first whole minute in (from, to] for which `holds`. It must hold for `to` and for all later ones. */
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
      // No zone is a day away from UTC, so these are its offsets before and after.
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
    // Only newer versions of Node accept an offset such as +02:00 as a zone.
    if (/^[+-]/.test(timeZone)) throw new RangeError('Offsets are not supported.');
    return new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  } catch (cause) {
    throw new Error(
      `The time zone ${JSON.stringify(timeZone)} does not exist: use a name of the IANA database, such as UTC or Europe/Berlin.`,
      { cause },
    );
  }
}
