import { StartError } from '../errors.ts';
import { createLogger } from '../observability/logger.ts';
import { readUnchecked } from '../settings/unchecked.ts';

/**
 * Reports an error that stops the process, although the log may not be open yet. In local and test, or with
 * `APP_LOG_FORMAT=console`, a person reads it: standard error gets the sentences of a StartError, or the stack of another
 * error. Everywhere else it becomes log lines, one per sentence, because a log collector parses all output.
 */
export function reportStartFailure(error: unknown): void {
  const { projectName, environment, logFormat } = readUnchecked();
  if (['local', 'test'].includes(environment) || ['console', 'pretty'].includes(logFormat)) {
    console.error(error instanceof StartError ? error.message : error);
    return;
  }
  const log = createLogger({
    level: 'CRITICAL',
    // Node writes to a file or a pipe before this returns, so that the process can exit.
    destination: { write: (line) => void process.stdout.write(line), flush: () => Promise.resolve() },
    base: { service: projectName, environment },
  });
  if (!(error instanceof StartError)) log.critical('application.failed', { error });
  else for (const message of error.message.split('\n')) log.critical('application.failed', { message });
}
