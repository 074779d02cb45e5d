import type { LogDestination } from '../../observability/logger.ts';
import { createLogger, type Logger, type LoggerOptions } from '../../observability/logger.ts';
import type { FromThread } from './thread-messages.ts';

/**
 * The logger of a thread. Each line goes to the runner's thread as a message, which writes it to the one destination of
 * the process (`Logger.relay`), for three reasons: a line stays whole, whoever else writes; what was logged before the
 * thread was ended still arrives, while lines gathered here would end with it; and it waits for no disk.
 */
export function createThreadLog(
  post: (message: FromThread) => void,
  options: Pick<LoggerOptions, 'level' | 'includeCaller' | 'base'>,
): Logger {
  const destination: LogDestination = {
    write: (line) => post({ kind: 'line', line }),
    flush: () => Promise.resolve(),
  };
  return createLogger({ ...options, destination, onEvent: (event) => post({ kind: 'event', event }) });
}
