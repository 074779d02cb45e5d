import type { SupervisionTerms } from '../cluster/primary.ts';
import type { Settings } from '../settings/load.ts';
import { stopLimits } from './stop-limits.ts';

/** How long a process that others take over from may drain beyond the grace time, in milliseconds. Nobody waits for it. */
const takenOverMs = 10_000;

/** Whether a server with these settings has a process beside it that runs jobs. */
export function hasJobsProcess({ application, tasks }: Settings): boolean {
  return tasks.enabled && application.databaseKind !== 'none';
}

/** How the processes of these settings are supervised. */
export function supervisionTerms({ server }: Settings): SupervisionTerms {
  return {
    workers: server.workers,
    startTimeoutMs: server.workerStartTimeoutSeconds * 1000,
    drainTimeoutMs: server.shutdownGraceSeconds * 1000 + takenOverMs,
    stopTimeoutMs: server.shutdownGraceSeconds * 1000 + stopLimits.child,
    silenceMs: server.workerTimeoutSeconds * 1000,
    canaryMs: server.reloadCanarySeconds * 1000,
    maxRequests: server.workerMaxRequests,
    maxRequestsJitter: server.workerMaxRequestsJitter,
    maxMemoryBytes: server.workerMaxMemoryMb * 1024 * 1024,
  };
}
