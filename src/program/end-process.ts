/** Requests to the thread pool that may never return: a write that nobody reads, a name server that does not answer. */
const endless = /^(?:FSReq|GetAddrInfo|GetNameInfo)/;

/**
 * Ends this process at once, or within 50 ms. `process.exit` waits for the threads of Node's pool, so while one is stuck, in a write to a log
 * that nobody reads for example, the process is ended by a signal to itself: SIGTERM for a regular end, as if it had never
 * handled that signal, and SIGKILL for a fault.
 */
export function endProcess(code: number): void {
  endOrWait(code, performance.now() + exitTimeoutMs);
}

/** Requests that are not stuck end within moments. */
const exitTimeoutMs = 50;

function endOrWait(code: number, until: number): void {
  if (!process.getActiveResourcesInfo().some((name) => endless.test(name))) process.exit(code);
  if (performance.now() < until) {
    setTimeout(endOrWait, 1, code, until);
    return;
  }
  // What a regular exit would do: children are ended.
  process.emit('exit', code);
  process.removeAllListeners('SIGTERM');
  process.kill(process.pid, code === 0 ? 'SIGTERM' : 'SIGKILL');
}
