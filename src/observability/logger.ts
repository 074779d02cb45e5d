/**
 * Structured logging: one JSON object a line on standard output, an event name and its fields, never a sentence
 * to be parsed later. pino serialises; this file decides what every line has: `level`, `timestamp` (ISO 8601,
 * UTC), `logger`, `event`, and, while a request is handled, its `request_id` at any depth.
 *
 * Writes are asynchronous and gather while one is under way, so a line costs no system call of its own under
 * load; `flush` writes what is left before the process ends. A field whose name is on the redaction list is
 * masked wherever it stands, and so is a credential by its form (`redact.ts`). A line has at most 4,096 bytes, however
 * long its fields are, and no control or invisible character (`bound-line.ts`).
 */

import pino from 'pino';
import type { EventName } from './events.ts';
import { boundLine } from './log/bound-line.ts';
import { escapeInvisible } from './log/log-text.ts';
import { redact } from './log/redact.ts';
import { currentRequest } from './request-context.ts';

export const logLevels = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** The way for lines that are written for every request: their fields come as JSON text. */
export interface LineWriter {
  /**
   * Writes one line. `json` is appended as it is: `,"name":value` for each field, masked (`target-text.ts`) and quoted
   * (`quoteText`) by the caller, `request_id` included. It costs half of what a line through pino does, which counts at two lines a request.
   */
  line(level: LogLevel, event: EventName, json: string): void;
}

export interface Logger extends LineWriter {
  debug(event: EventName, fields?: LogFields): void;
  info(event: EventName, fields?: LogFields): void;
  warning(event: EventName, fields?: LogFields): void;
  /** `fields.error` takes the thrown thing itself: name, message, stack and causes are written. */
  error(event: EventName, fields?: LogFields): void;
  critical(event: EventName, fields?: LogFields): void;
  /** Whether a line at this level would be written: asked before fields that are dear to make. */
  enabled(level: LogLevel): boolean;
  /** A logger for a part of the program: every line of it carries `logger: name`. */
  named(name: string): Logger;
  /** A logger whose every line carries these fields too. */
  bind(fields: LogFields): Logger;
  /** The way for lines that the logger of another thread has made. */
  readonly relay: LogRelay;
}

/** What another thread logs goes through here, so that one place counts the events and one writes the lines. */
export interface LogRelay {
  /** Notes an event, as if it were logged here. */
  event(event: EventName): void;
  /** Writes one whole line with its newline, as it is. */
  line(line: string): void;
}

/** Where lines go. `write` takes one whole line with its newline. */
export interface LogDestination {
  write(line: string): void;
  /** Resolves when everything written so far has reached its end. Never rejects. */
  flush(): Promise<void>;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly destination: LogDestination;
  /** Adds `caller` (file:line) to each line; it takes a stack trace a line. */
  readonly includeCaller?: boolean;
  /** Fields on every line, such as the service's name and environment. */
  readonly base?: LogFields;
  /** Told of every event, also where the level leaves its line out. */
  readonly onEvent?: (event: EventName) => void;
}

/** The names of pino's levels, in our words. */
const levelNames = {
  DEBUG: 'debug',
  INFO: 'info',
  WARNING: 'warning',
  ERROR: 'error',
  CRITICAL: 'critical',
} as const;
const levelValues = { debug: 20, info: 30, warning: 40, error: 50, critical: 60 };

/** Makes the root logger. Throws nothing later: a line that cannot be serialised is written without its fields. */
export function createLogger(options: LoggerOptions): Logger {
  // Every way to write a line ends here, so that each is bounded.
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

/** The time in ISO 8601, UTC. Many lines fall into one millisecond; its text is made once. */
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

/** pino merges the fields of a line into what this returns, so it is a new object every time. */
function requestFields(): Record<string, unknown> {
  const request = currentRequest();
  return request === undefined ? {} : { request_id: request.id };
}

/** The first frame of the stack that is neither this file nor pino. */
function callerOf(): string | undefined {
  const lines = new Error().stack?.split('\n').slice(1) ?? [];
  const frame = lines.find(
    (line) => !/[\\/](?:node_modules[\\/]pino[\\/]|observability[\\/]logger\.[jt]s:)/.test(line),
  );
  return frame?.match(/\(?((?:file:\/\/)?[^()\s]+:\d+):\d+\)?$/)?.[1];
}
