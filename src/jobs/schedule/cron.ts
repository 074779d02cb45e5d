/**
 * Cron expressions: five fields that select minutes, as in a POSIX crontab.
 *
 *     30 6 * * MON-FRI       minute 0-59, hour 0-23, day of the month 1-31, month 1-12, day of the week 0-7
 *
 * A field is `*`, a value, a range `1-5`, a step over a range `8-18/2` or over `*`, or a comma-separated list of these.
 * Months and days of the week have names (JAN, SUN, in any case); 0 and 7 are both Sunday. `@hourly`, `@daily`,
 * `@weekly`, `@monthly` and `@yearly` are short for the expressions below. Seconds, `L`, `W`, `#` and `?` are not
 * supported.
 *
 * Days: if both day fields are restricted (not `*`), a day that matches either of them matches; else it must match
 * both.
 *
 * This file knows no time zone: it matches the digits on a clock. `cron-ticks.ts` computes when a clock shows them.
 */

export interface Cron {
  /** The original expression. */
  readonly text: string;
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  /** 0 is Sunday. */
  readonly weekdays: ReadonlySet<number>;
  /** Whether a day must match only one of `days` and `weekdays`. */
  readonly eitherDay: boolean;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of the values from `min` on. */
  readonly words?: readonly string[];
}

const monthWords = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const weekdayWords = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

const minuteField: Field = { name: 'minute', min: 0, max: 59 };
const hourField: Field = { name: 'hour', min: 0, max: 23 };
const dayField: Field = { name: 'day of the month', min: 1, max: 31 };
const monthField: Field = { name: 'month', min: 1, max: 12, words: monthWords };
const weekdayField: Field = { name: 'day of the week', min: 0, max: 7, words: weekdayWords };

const shorthands: ReadonlyMap<string, string> = new Map([
  ['@hourly', '0 * * * *'],
  ['@daily', '0 0 * * *'],
  ['@weekly', '0 0 * * 0'],
  ['@monthly', '0 0 1 * *'],
  ['@yearly', '0 0 1 1 *'],
]);

/** The maximum number of days of each month. */
const monthLengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Parses an expression. Throws an Error that names the invalid field, or states that the expression never fires. */
export function parseCron(text: string): Cron {
  const expression = text.trim();
  const parts = (shorthands.get(expression.toLowerCase()) ?? expression).split(/\s+/);
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = parts;
  if (expression.startsWith('@') && parts.length === 1) {
    throw new Error(
      `The cron expression "${text}" is unknown: use one of ${[...shorthands.keys()].join(', ')}, or five fields.`,
    );
  }
  if (parts.length !== 5 || expression === '') {
    throw new Error(
      `The cron expression "${text}" has ${expression === '' ? 0 : parts.length} fields: write five, which are minute, hour, day of the month, month and day of the week.`,
    );
  }
  const cron: Cron = {
    text,
    minutes: readField(text, minuteField, minute),
    hours: readField(text, hourField, hour),
    days: readField(text, dayField, day),
    months: readField(text, monthField, month),
    weekdays: new Set([...readField(text, weekdayField, weekday)].map((value) => value % 7)),
    eitherDay: day !== '*' && weekday !== '*',
  };
  assertFires(cron);
  return cron;
}

function readField(text: string, field: Field, list: string): ReadonlySet<number> {
  const reject = (why: string): never => {
    throw new Error(`The ${field.name} "${list}" of the cron expression "${text}" is invalid: ${why}.`);
  };
  const values = new Set<number>();
  for (const item of list.split(',')) {
    const [, from = '', to, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d{1,3}))?$/.exec(item) ?? [];
    if (from === '' || (from === '*' && to !== undefined)) {
      reject('write *, a value, a range such as 1-5, or a step such as */10, and lists of these with commas');
    }
    if (step !== undefined && from !== '*' && to === undefined) {
      reject(`a step needs a range, such as ${from}-${field.max}/${step}`);
    }
    const first = from === '*' ? field.min : readValue(field, from, reject);
    const last = lastOf(field, first, from === '*' ? String(field.max) : (to ?? from), reject);
    if (last < first) reject(`a range goes upwards, so write ${from}-${field.max},${field.min}-${to}`);
    const by = Number(step ?? 1);
    if (by < 1 || by > field.max - field.min) {
      reject(`a step must be from 1 to ${field.max - field.min}`);
    }
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return values;
}

/** Returns the end of a range. Sunday also comes after Saturday, by its name as well. */
function lastOf(field: Field, first: number, word: string, reject: (why: string) => never): number {
  const last = readValue(field, word, reject);
  return field === weekdayField && last === 0 && first > 0 ? 7 : last;
}

function readValue({ min, max, words = [] }: Field, word: string, reject: (why: string) => never): number {
  const named = words.indexOf(word.toUpperCase());
  if (named >= 0) return min + named;
  const value = /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN;
  if (value >= min && value <= max) return value;
  return reject(
    `${word} is not from ${min} to ${max}${words.length > 0 ? `, nor one of ${words.join(', ')}` : ''}`,
  );
}

/** Throws for days that no month has, such as 30 February, unless a day of the week also matches. */
function assertFires({ text, days, months, eitherDay }: Cron): void {
  const firstDay = Math.min(...days);
  if (eitherDay || [...months].some((month) => firstDay <= (monthLengths[month - 1] ?? 0))) return;
  throw new Error(`The cron expression "${text}" never fires: none of its months has a day ${firstDay}.`);
}

/** Returns whether the expression matches a local time (as in `local-clock.ts`). */
export function matches(cron: Cron, local: number): boolean {
  const date = new Date(local);
  return (
    cron.minutes.has(date.getUTCMinutes()) && cron.hours.has(date.getUTCHours()) && matchesDay(cron, date)
  );
}

function matchesDay({ days, months, weekdays, eitherDay }: Cron, date: Date): boolean {
  const inDays = days.has(date.getUTCDate());
  const inWeekdays = weekdays.has(date.getUTCDay());
  return months.has(date.getUTCMonth() + 1) && (eitherDay ? inDays || inWeekdays : inDays && inWeekdays);
}

/** Returns the first matching minute after `local` on a clock without changes. Skips whole months, days and hours. */
export function nextMatch(cron: Cron, local: number): number {
  const date = new Date(local);
  date.setUTCSeconds(0, 0);
  date.setUTCMinutes(date.getUTCMinutes() + 1);
  for (;;) {
    if (!cron.months.has(date.getUTCMonth() + 1)) {
      date.setUTCMonth(date.getUTCMonth() + 1, 1);
      date.setUTCHours(0, 0);
    } else if (!matchesDay(cron, date)) {
      date.setUTCDate(date.getUTCDate() + 1);
      date.setUTCHours(0, 0);
    } else if (!cron.hours.has(date.getUTCHours())) {
      date.setUTCHours(date.getUTCHours() + 1, 0);
    } else if (!cron.minutes.has(date.getUTCMinutes())) {
      date.setUTCMinutes(date.getUTCMinutes() + 1);
    } else {
      return date.getTime();
    }
  }
}
