/**
 * Formats log lines for a person at a terminal:
 *
 *     {"level":"info","timestamp":"…","service":"Strata","environment":"local","url":"http://127.0.0.1:8000","event":"application.ready"}
 *     13:02:11.250  INFO      application.ready  url=http://127.0.0.1:8000
 *
 * Every field that has a value is shown, except the service and the environment, which are the same on every line. The
 * frames of an error follow on lines of their own. The formatter works on finished JSON lines: JSON output costs nothing extra, and
 * the lines of threads and other processes look the same as those of this one.
 */

import { escapeInvisible } from './log-text.ts';

/** Fields that have a place of their own, or are the same on every line. */
const placed = new Set(['level', 'timestamp', 'event', 'service', 'environment']);
/** Fields that are needed less often, so they follow after the others. */
const last = ['logger', 'caller', 'request_id', 'trace_id', 'span_id'];

/** The colours of the levels, as codes of ECMA-48 (SGR). */
const styles = new Map([
  ['debug', 34],
  ['info', 32],
  ['warning', 33],
  ['error', 31],
  ['critical', 41],
]);
const dim = 2;
const bold = 1;

/** The width of the longest level. */
const levelWidth = 'CRITICAL'.length;
const indent = '    ';

/** Returns one complete JSON line as text, with its newline. A line that is not JSON is returned unchanged. */
export function formatConsoleLine(line: string, useColours: boolean): string {
  const fields = parseLine(line);
  if (fields === undefined) return line;
  const paint = useColours ? (code: number, text: string) => `\u001b[${code}m${text}\u001b[0m` : plain;
  const level = String(fields.level ?? '');
  const head = [
    paint(dim, localTime(String(fields.timestamp ?? ''))),
    paint(styles.get(level) ?? bold, level.toUpperCase().padEnd(levelWidth)),
    paint(bold, String(fields.event ?? '')),
  ].join('  ');
  const names = Object.keys(fields).filter((name) => !placed.has(name) && !last.includes(name));
  const shown = [...names, ...last]
    .filter((name) => !isEmpty(fields[name]))
    .map((name) => `${paint(dim, `${name}=`)}${showValue(fields[name])}`);
  return `${[head, ...shown].join('  ')}\n${framesOf(fields.error)}`;
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function plain(_code: number, text: string): string {
  return text;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** Returns the time of day in the time zone of this machine. */
function localTime(timestamp: string): string {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return timestamp;
  const two = (value: number) => String(value).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** JSON.parse has removed the escapes that protect the terminal, so texts are escaped again. */
function showValue(value: unknown): string {
  if (isError(value)) return showValue(`${value.type}: ${value.message}`);
  if (typeof value === 'string' && unquoted.test(value)) return value;
  return escapeInvisible(JSON.stringify(value));
}

const unquoted = /^[\w\-./:@%+,*[\]]+$/;

interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly stack?: unknown;
  readonly cause?: unknown;
}

function isError(value: unknown): value is LoggedError {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    'message' in value &&
    typeof value.type === 'string' &&
    typeof value.message === 'string'
  );
}

/** Returns the stack frames of an error and of its causes, each on a line. */
function framesOf(error: unknown): string {
  if (!isError(error)) return '';
  const frames =
    typeof error.stack === 'string' ? error.stack.split('\n').filter((line) => /^\s+at /.test(line)) : [];
  const own = frames.map((frame) => `${indent}${escapeInvisible(frame.trim())}\n`).join('');
  const caused = isError(error.cause) ? `${indent}cause: ${showValue(error.cause)}\n` : '';
  return own + caused + framesOf(error.cause);
}
