/**
 * The watchdog kills processes whose heartbeat is missing. A process sends a heartbeat every second from its event loop,
 * so a blocked process sends none, and answers no request either.
 *
 * A missing heartbeat can also be the supervisor's fault: while it was stopped or had no processor time, it received
 * nothing. So a check that comes late restarts the timeouts of all processes.
 */

import type { Logger } from '../observability/logger.ts';
import type { SupervisedProcess } from './supervised-process.ts';

export interface WatchdogOptions {
  readonly processes: Iterable<SupervisedProcess>;
  /** Returns how long a process may send no heartbeat at present, in milliseconds. */
  readonly heartbeatTimeoutMs: () => number;
  readonly log: Logger;
}

const checkEveryMs = 1_000;

/** Checks every second, and kills each process whose heartbeat has timed out. Returns a function that stops it. */
export function startWatchdog({ processes, heartbeatTimeoutMs, log }: WatchdogOptions): () => void {
  const check = createHeartbeatCheck<SupervisedProcess>();
  const timer = setInterval(() => {
    for (const each of check(processes, performance.now(), heartbeatTimeoutMs())) {
      const { id, kind, pid, secondsSinceHeartbeat } = each.report();
      const who = kind === 'jobs' ? { job_process: id, pid } : { worker: id, pid };
      log.error('process.silent', { ...who, silent_seconds: secondsSinceHeartbeat });
      each.kill('silent');
    }
  }, checkEveryMs);
  return () => clearInterval(timer);
}

export interface Monitored {
  readonly state: string;
  /** The time of its last message, by the clock of the check. */
  readonly lastHeartbeatAt: number;
}

/** Between two checks this much may pass, in milliseconds, before the supervisor assumes that it was stopped itself. */
const lateMs = 5_000;

/** Creates a check that returns the ready and draining processes whose heartbeat has timed out. Call it every second. */
export function createHeartbeatCheck<Process extends Monitored>(): (
  processes: Iterable<Process>,
  now: number,
  heartbeatTimeoutMs: number,
) => Process[] {
  let checkedAt: number | undefined;
  let receivingSince = Number.NEGATIVE_INFINITY;
  return (processes, now, heartbeatTimeoutMs) => {
    if (checkedAt === undefined || now - checkedAt > lateMs) receivingSince = now;
    checkedAt = now;
    return [...processes].filter(
      ({ state, lastHeartbeatAt }) =>
        (state === 'ready' || state === 'draining') &&
        now - Math.max(lastHeartbeatAt, receivingSince) > heartbeatTimeoutMs,
    );
  };
}
