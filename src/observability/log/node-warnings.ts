import type { Logger } from '../logger.ts';

/**
 * Logs the warnings of Node, such as deprecations, instead of letting Node print them as text on standard error, which the
 * reader of a JSON log cannot parse. Does nothing if warnings are switched off (NODE_NO_WARNINGS). Call it once per process
 * and per thread.
 */
export function logNodeWarnings(log: Logger): void {
  if (process.listenerCount('warning') === 0) return;
  // Removes Node's own listener, which would print the warning.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.warning('process.warning', { error: warning }));
}
