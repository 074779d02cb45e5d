/**
 * Limits every log line to PIPE_BUF, 4,096 bytes, which POSIX guarantees to write to a pipe in one piece. A longer line
 * could be interleaved with the lines of other processes that share standard output.
 *
 *     line ──> fits ─────────────────────────────────────────────────────────────> written
 *              └─ parsed; long strings cut to 1,024, 512, … 32 characters, until it fits
 *                 └─ still too long: fields removed, the longest first
 *
 * `level`, `timestamp`, `event` and the ids of the request always remain: they are short, and the id of a request has at most
 * 128 characters.
 */

import { fits } from './gather-lines.ts';
import { cutText, escapeInvisible } from './log-text.ts';

/** The maximum size of a line with its newline: PIPE_BUF of Linux (pipe(7)). */
export const maxLineBytes = 4096;

const cutLengths = [1024, 512, 256, 128, 64, 32];
const kept = new Set(['level', 'timestamp', 'event', 'request_id', 'trace_id', 'span_id']);
const maxKept = 128;

/** Returns the line, shortened to 4,096 bytes if necessary. Both are JSON text and a newline. */
export function boundLine(line: string): string {
  return fits(line, maxLineBytes) ? line : shorten(line);
}

function shorten(line: string): string {
  const fields = parse(line);
  if (fields === undefined) return replacementFor(line);
  for (const length of cutLengths) {
    const shorter = write(cutFields(fields, length));
    if (fits(shorter, maxLineBytes)) return shorter;
  }
  return omitFields(cutFields(fields, cutLengths.at(-1) ?? 0));
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function write(fields: Record<string, unknown>): string {
  return escapeInvisible(`${JSON.stringify(fields)}\n`);
}

function cutFields(fields: Record<string, unknown>, length: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) =>
      kept.has(name)
        ? [name, cutStrings(value, maxKept)]
        : [cutText(name, length), cutStrings(value, length)],
    ),
  );
}

function cutStrings(value: unknown, length: number): unknown {
  if (typeof value === 'string') return cutText(value, length);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => cutStrings(item, length));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [cutText(name, length), cutStrings(item, length)]),
  );
}

/** Omits fields, the longest first, until the others fit, and adds their number. */
function omitFields(fields: Record<string, unknown>): string {
  const byLength = Object.entries(fields)
    .filter(([name]) => !kept.has(name))
    .map(([name, value]) => ({ name, length: JSON.stringify(value)?.length ?? 0 }))
    .toSorted((a, b) => b.length - a.length);
  const remaining = { ...fields };
  let shorter = write(remaining);
  for (const [index, { name }] of byLength.entries()) {
    if (fits(shorter, maxLineBytes)) break;
    delete remaining[name];
    shorter = write({ ...remaining, omitted_fields: index + 1 });
  }
  return shorter;
}

/** Replaces a line that is no JSON text. Only a caller of `Logger.line` that quotes wrongly can cause it. */
function replacementFor(line: string): string {
  const head = /^\{"level":"\w+","timestamp":"[^"]*",/.exec(line)?.[0] ?? '{';
  const event = /,("event":"[\w.]+")\}\n$/.exec(line)?.[1];
  return `${head}"unreadable_characters":${line.length}${event === undefined ? '' : `,${event}`}}\n`;
}
