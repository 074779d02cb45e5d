import type { LogDestination } from '../../observability/logger.ts';
import { createLogger, type Logger, type LoggerOptions } from '../../observability/logger.ts';
import type { FromThread } from './thread-messages.ts';

/**
 * Creates the logger of a thread. It sends each line as a message to the main thread, which writes it to the one
 * destination of the process (`Logger.relay`). So lines never interleave, lines logged before the thread was terminated
 * are not lost, and the thread never waits for a disk.
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
