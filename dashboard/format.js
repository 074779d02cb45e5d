/** Formats numbers and times: short, and with a stable width. */

const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const seconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const zone = new Intl.DateTimeFormat('en', { timeZoneName: 'longOffset' });
const moment = new Intl.DateTimeFormat('en-CA', {
  ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
  ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false },
  timeZoneName: 'shortOffset',
});

/** @param {number} value */
export function count(value) {
  return whole.format(value);
}

/** Returns hours and minutes in the time zone of the browser. @param {string | Date} at */
export function minute(at) {
  return clock.format(new Date(at));
}

/** Returns the time to the second, in the time zone of the browser. @param {Date} at */
export function clockTime(at) {
  return seconds.format(at);
}

/** Returns the time zone of the browser: `Europe/Berlin (UTC+01:00)`. */
export function timeZone() {
  const parts = zone.formatToParts(new Date());
  const offset = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const name = zone.resolvedOptions().timeZone;
  return name === 'UTC' ? name : `${name} (${offset.replace('GMT', 'UTC')})`;
}

/**
 * Returns date and time to the millisecond, in the time zone of the browser, which is named; an invalid time unchanged.
 *
 * @param {string} at
 */
export function exactly(at) {
  if (Number.isNaN(Date.parse(at))) return at;
  return moment.format(new Date(at)).replace(',', '').replace('GMT', 'UTC');
}

/**
 * Returns a duration with about two digits: `4.2 ms`, `850 ms`, `3.4 s`, `12 min`, `5.1 h`, `3 d`.
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
 * Returns the duration from one time to another; an empty text if one of them is missing.
 *
 * @param {string | null} from
 * @param {string | null} to
 */
export function between(from, to) {
  return from === null || to === null ? '' : duration(Date.parse(to) - Date.parse(from));
}

/**
 * Returns how long a job waited in its queue before its last attempt; an empty text if it did not run.
 *
 * @param {{ run_at: string, started_at: string | null }} job
 */
export function queueWait({ run_at, started_at }) {
  return hasRun({ run_at, started_at }) ? between(run_at, started_at) : '';
}

/**
 * Returns how long the last attempt of a finished job ran; an empty text if it did not run.
 *
 * @param {{ run_at: string, started_at: string | null, finished_at: string | null }} job
 */
export function runTime({ run_at, started_at, finished_at }) {
  return hasRun({ run_at, started_at }) ? between(started_at, finished_at) : '';
}

/**
 * A job that was cancelled while it waited has no start, or that of an attempt before the wait.
 *
 * @param {{ run_at: string, started_at: string | null }} job
 */
function hasRun({ run_at, started_at }) {
  return started_at !== null && Date.parse(started_at) >= Date.parse(run_at);
}

/**
 * Returns a time relative to now: `3 s ago`, `in 5 min`.
 *
 * @param {string} at
 * @param {number} now milliseconds since 1970
 */
export function relative(at, now) {
  const away = now - Date.parse(at);
  if (Math.abs(away) < 1_000) return 'now';
  // Whole seconds, since the text changes with every update.
  const about = Math.round(Math.abs(away) / 1_000) * 1_000;
  return away > 0 ? `${duration(about)} ago` : `in ${duration(about)}`;
}

const errorNames = new Map([
  ['threw', 'error'],
  ['refused', 'rejected'],
]);

/** Returns the name of an error code for readers. @param {string} code */
export function errorName(code) {
  return errorNames.get(code) ?? code;
}
