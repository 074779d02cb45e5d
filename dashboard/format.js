/** Numbers and times as the pages say them: short, and of a steady width. */

const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const moment = new Intl.DateTimeFormat('en-CA', {
  ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
  ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false },
});

/** @param {number} value */
export function count(value) {
  return whole.format(value);
}

/** Hours and minutes of the reader's own clock. @param {string | Date} at */
export function minute(at) {
  return clock.format(new Date(at));
}

/** Date and time to the millisecond, of the reader's own clock; what is no time as it is. @param {string} at */
export function exactly(at) {
  if (Number.isNaN(Date.parse(at))) return at;
  return moment.format(new Date(at)).replace(',', '');
}

/**
 * A length of time in two figures or so: `4.2 ms`, `850 ms`, `3.4 s`, `12 min`, `5.1 h`, `3 d`.
 *
 * @param {number} ms
 */
export function duration(ms) {
  const at = Math.max(0, ms);
  if (at < 1_000) return `${at < 10 ? Math.round(at * 10) / 10 : Math.round(at)} ms`;
  const seconds = at / 1_000;
  if (seconds < 90) return `${short(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${short(minutes)} min`;
  const hours = minutes / 60;
  return hours < 36 ? `${short(hours)} h` : `${short(hours / 24)} d`;
}

/** @param {number} value */
function short(value) {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}

/**
 * How long from one time to another; nothing if one of them has not come.
 *
 * @param {string | null} from
 * @param {string | null} to
 */
export function between(from, to) {
  return from === null || to === null ? '' : duration(Date.parse(to) - Date.parse(from));
}

/**
 * `3 s ago`, `in 5 min`.
 *
 * @param {string} at
 * @param {number} now milliseconds since 1970
 */
export function relative(at, now) {
  const away = now - Date.parse(at);
  if (Math.abs(away) < 1_000) return 'now';
  // Whole seconds: what changes with each look has to be easy on the eye.
  const about = Math.round(Math.abs(away) / 1_000) * 1_000;
  return away > 0 ? `${duration(about)} ago` : `in ${duration(about)}`;
}
