import type { SupervisionOptions } from '../../cluster/supervision.ts';
import type { Settings } from '../../settings/load.ts';
import { stopLimits } from '../stop-limits.ts';

/** How long a replaced process may drain beyond the grace time, in milliseconds. Nothing waits for it. */
const replacedMs = 10_000;

/** Returns whether a server with these settings has a jobs process. */
export function hasJobsProcess({ application, tasks }: Settings): boolean {
  return tasks.enabled && application.databaseKind !== 'none';
}

/** Returns how processes are supervised with these settings. */
export function supervisionOptions({ server }: Settings): SupervisionOptions {
  return {
    workers: server.workers,
    startTimeoutMs: server.workerStartTimeoutSeconds * 1000,
    drainTimeoutMs: server.shutdownGraceSeconds * 1000 + replacedMs,
    stopTimeoutMs: server.shutdownGraceSeconds * 1000 + stopLimits.child,
    heartbeatTimeoutMs: server.workerTimeoutSeconds * 1000,
    canaryMs: server.reloadCanarySeconds * 1000,
    maxRequests: server.workerMaxRequests,
    maxRequestsJitter: server.workerMaxRequestsJitter,
    maxMemoryBytes: server.workerMaxMemoryMb * 1024 * 1024,
  };
}
