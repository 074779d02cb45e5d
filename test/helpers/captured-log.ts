import { createLogger, type Logger, type LogLevel } from '../../src/observability/logger.ts';

export type LogLine = Record<string, unknown> & { readonly event: string; readonly level: string };

export interface CapturedLog {
  readonly log: Logger;
  /** Returns all lines so far, parsed. */
  lines(): LogLine[];
  /** Returns the lines of one event. */
  of(event: string): LogLine[];
  /** Returns the whole output. */
  text(): string;
}

/** Creates a real logger that writes to memory. */
export function captureLog(level: LogLevel = 'DEBUG'): CapturedLog {
  let text = '';
  const destination = {
    write: (line: string) => {
      text += line;
    },
    flush: () => Promise.resolve(),
  };
  const lines = (): LogLine[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return {
    log: createLogger({ level, destination }),
    lines,
    of: (event) => lines().filter((line) => line.event === event),
    text: () => text,
  };
}
