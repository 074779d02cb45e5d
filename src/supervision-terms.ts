import type { SupervisionTerms } from './cluster/primary.ts';
import type { Settings } from './settings/load.ts';

/**
 * What a process needs to end beyond the grace time of its requests or jobs, in milliseconds: more than `jobsCloseMs`
 * of `start-jobs.ts`, for it has its last words to say.
 */
export const closeMs = 10_000;

/** How the processes of these settings are supervised. */
export function supervisionTerms({ server }: Settings): SupervisionTerms {
  return {
    workers: server.workers,
    startTimeoutMs: server.workerStartTimeoutSeconds * 1000,
    drainTimeoutMs: server.shutdownGraceSeconds * 1000 + closeMs,
    silenceMs: server.workerTimeoutSeconds * 1000,
    canaryMs: server.reloadCanarySeconds * 1000,
    maxRequests: server.workerMaxRequests,
    maxRequestsJitter: server.workerMaxRequestsJitter,
    maxMemoryBytes: server.workerMaxMemoryMb * 1024 * 1024,
  };
}
