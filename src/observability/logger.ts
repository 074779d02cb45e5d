/**
 * Structured logging: each line on standard output is a JSON object with the name of an event and its fields, not a
 * sentence that must be parsed. pino serialises; this file defines the fields of every line: `level`, `timestamp` (ISO
 * 8601, UTC), `logger`, `event`, and, while a request is handled, its `request_id`, `trace_id` and `span_id`.
 *
 * Writes are asynchronous and batched, so under load a line costs no system call of its own; `flush` writes the rest before
 * the process exits. Fields with a secret name are masked at any depth, and so are credentials recognised by their form
 * (`redact.ts`). A line has at most 4,096 bytes, and no control or invisible character (`bound-line.ts`).
 */

import pino from 'pino';
import type { EventName } from './events.ts';
import { boundLine } from './log/bound-line.ts';
import { escapeInvisible } from './log/log-text.ts';
import { redact } from './log/redact.ts';
import { currentRequest, idFields } from './request-context.ts';

export const logLevels = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** Writes the lines that every request causes. Their fields are passed as JSON text. */
export interface LineWriter {
  /**
   * Writes one line. `json` is appended as it is: `,"name":value` for each field, masked (`target-text.ts`) and quoted
   * (`quoteText`) by the caller, the ids of the request included. It costs half as much as a line through pino, which matters at two
   * lines per request.
   */
  line(level: LogLevel, event: EventName, json: string): void;
  /** Counts an event whose line is omitted, because lines like it are summed up. */
  count(event: EventName): void;
}

export interface Logger extends LineWriter {
  debug(event: EventName, fields?: LogFields): void;
  info(event: EventName, fields?: LogFields): void;
  warning(event: EventName, fields?: LogFields): void;
  /** Pass a caught error as `fields.error`: its name, message, stack and causes are written. */
  error(event: EventName, fields?: LogFields): void;
  critical(event: EventName, fields?: LogFields): void;
  /** Returns whether a line at this level would be written. Ask before computing expensive fields. */
  enabled(level: LogLevel): boolean;
  /** Returns a logger for a part of the program, whose lines have `logger: name`. */
  named(name: string): Logger;
  /** Returns a logger whose lines have these fields too. */
  bind(fields: LogFields): Logger;
  /** Writes lines that the logger of another thread has created. */
  readonly relay: LogRelay;
}

/** Receives the log of another thread, so that one place counts all events and writes all lines. */
export interface LogRelay {
  /** Counts an event, as if it were logged here. */
  event(event: EventName): void;
  /** Writes one complete line with its newline, unchanged. */
  line(line: string): void;
}

/** The output of a logger. `write` accepts one complete line with its newline. */
export interface LogDestination {
  write(line: string): void;
  /** Resolves when all lines written so far have been passed to the system. Never rejects. */
  flush(): Promise<void>;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly destination: LogDestination;
  /** Adds `caller` (file:line) to each line. It costs a stack trace per line. */
  readonly includeCaller?: boolean;
  /** Fields on every line, such as the service's name and environment. */
  readonly base?: LogFields;
  /** Called for every event, even if the level suppresses its line. */
  readonly onEvent?: (event: EventName) => void;
}

/** The names of the levels in pino. */
const levelNames = {
  DEBUG: 'debug',
  INFO: 'info',
  WARNING: 'warning',
  ERROR: 'error',
  CRITICAL: 'critical',
} as const;
const levelValues = { debug: 20, info: 30, warning: 40, error: 50, critical: 60 };

/** Creates the root logger. Logging never throws: a line that cannot be serialised is written without its fields. */
export function createLogger(options: LoggerOptions): Logger {
  // All lines pass through here, so that each has a bounded length.
  const destination = { write: (line: string) => options.destination.write(boundLine(line)) };
  const root = pino(
    {
      level: levelNames[options.level],
      customLevels: levelValues,
      useOnlyCustomLevels: true,
      base: options.base === undefined ? null : redact(options.base),
      messageKey: 'event',
      timestamp: () => `,"timestamp":"${isoNow()}"`,
      formatters: { level: (label) => ({ level: label }) },
      mixin: options.includeCaller ? () => ({ ...requestFields(), caller: callerOf() }) : requestFields,
    },
    { write: (line: string) => destination.write(escapeInvisible(line)) },
  );
  return wrap(root, { destination, onEvent: options.onEvent }, options.base ?? {});
}

type Pino = pino.Logger<keyof typeof levelValues>;

interface Sinks {
  readonly destination: Pick<LogDestination, 'write'>;
  readonly onEvent: ((event: EventName) => void) | undefined;
}

function wrap(logger: Pino, sinks: Sinks, bound: LogFields): Logger {
  const { destination, onEvent } = sinks;
  // The fields of this logger as JSON text, without the braces: `,"service":"x"`.
  const json = escapeInvisible(JSON.stringify(redact(bound))).slice(1, -1);
  const fixed = json === '' ? '' : `,${json}`;
  const write = (level: keyof typeof levelValues, event: EventName, fields: LogFields = {}): void => {
    onEvent?.(event);
    if (logger.isLevelEnabled(level)) logger[level](redact(fields), event);
  };
  return {
    line: (level, event, fields) => {
      onEvent?.(event);
      const name = levelNames[level];
      if (!logger.isLevelEnabled(name)) return;
      destination.write(
        `{"level":"${name}","timestamp":"${isoNow()}"${fixed}${fields},"event":"${event}"}\n`,
      );
    },
    count: (event) => onEvent?.(event),
    debug: (event, fields) => write('debug', event, fields),
    info: (event, fields) => write('info', event, fields),
    warning: (event, fields) => write('warning', event, fields),
    error: (event, fields) => write('error', event, fields),
    critical: (event, fields) => write('critical', event, fields),
    enabled: (level) => logger.isLevelEnabled(levelNames[level]),
    named: (name) => wrap(logger.child({ logger: name }), sinks, { ...bound, logger: name }),
    bind: (fields) => wrap(logger.child(redact(fields)), sinks, { ...bound, ...fields }),
    relay: { event: (event) => onEvent?.(event), line: (line) => destination.write(line) },
  };
}

/** Returns the time in ISO 8601, UTC. The text is cached, since many lines fall into the same millisecond. */
function isoNow(): string {
  const now = Date.now();
  if (now !== isoTime) {
    isoTime = now;
    isoText = new Date(now).toISOString();
  }
  return isoText;
}
let isoTime = 0;
let isoText = '';

/** Returns a new object each time: pino adds the fields of the line to it. */
function requestFields(): Record<string, unknown> {
  const request = currentRequest();
  return request === undefined ? {} : idFields(request);
}

/** Returns the first stack frame that is neither in this file nor in pino. */
function callerOf(): string | undefined {
  const lines = new Error().stack?.split('\n').slice(1) ?? [];
  const frame = lines.find(
    (line) => !/[\\/](?:node_modules[\\/]pino[\\/]|observability[\\/]logger\.[jt]s:)/.test(line),
  );
  return frame?.match(/\(?((?:file:\/\/)?[^()\s]+:\d+):\d+\)?$/)?.[1];
}
