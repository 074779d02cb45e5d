import { withTimeout } from '../concurrency/with-timeout.ts';
import type { LogDestination } from '../observability/logger.ts';

/** Requests to libuv's thread pool that may never return: a write to a pipe without a reader, a name look-up. */
const stuckRequest = /^(?:FSReq|GetAddrInfo|GetNameInfo)/;

/**
 * Requests that are not stuck finish within so many turns of the event loop, each of a millisecond or more. Turns are counted
 * and not time: on a busy machine, a process that gets no processor for a while looks stuck, and is not.
 */
const maxStuckTurns = 50;

/** How long the last log lines may take before the process exits without them. */
const maxFlushMs = 50;

/**
 * Exits within about 60 ms. `process.exit` waits for the threads of libuv's pool, so while one of them is stuck, for example in
 * a write to a log without a reader, the process kills itself with a signal instead: SIGTERM for code 0, as if the process
 * had never handled that signal, and SIGKILL for any other code.
 */
export function exitProcess(code: number): void {
  exitOrWait(code, maxStuckTurns);
}

/** Exits when the log is written, at the latest after `maxFlushMs`. */
export function flushAndExit(destination: LogDestination, code: number): void {
  void withTimeout(destination.flush(), maxFlushMs, () => {}).then(() => exitProcess(code));
}

function exitOrWait(code: number, turns: number): void {
  if (!process.getActiveResourcesInfo().some((name) => stuckRequest.test(name))) process.exit(code);
  if (turns > 0) {
    setTimeout(exitOrWait, 1, code, turns - 1);
    return;
  }
  // Listeners of a regular exit run too: they kill the child processes.
  process.emit('exit', code);
  process.removeAllListeners('SIGTERM');
  process.kill(process.pid, code === 0 ? 'SIGTERM' : 'SIGKILL');
}
