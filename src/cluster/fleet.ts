/**
 * The fleet: all processes that answer requests or run jobs, as their supervisor sees them. The management port reads it.
 * The primary has a fleet of several workers, a single process a fleet of one. Every method answers within a short
 * deadline, so that the management port works while every worker is blocked.
 */

import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';
import type { ProcessState } from './process-state.ts';

export interface Fleet {
  /** Returns one report for each living process, the oldest first. */
  reports(): readonly ProcessReport[];
  /** Resolves with whether requests can be answered now. Never rejects. */
  readiness(): Promise<FleetReadiness>;
  /** Resolves with the metrics of all processes, including those that have exited, so no counter decreases. Never rejects. */
  collectMetrics(): Promise<MetricsSnapshot>;
}

export interface FleetReadiness {
  readonly ready: boolean;
  /** The reason, as a sentence. */
  readonly detail: string;
}

/** The kind of work of a process: answering requests, or running jobs. */
const processKinds = ['requests', 'jobs'] as const;
export type ProcessKind = (typeof processKinds)[number];

/** The state of a process, with the numbers of its last heartbeat. They are 0 before the first. */
export interface ProcessReport {
  /** Counted for each kind separately. */
  readonly id: number;
  readonly kind: ProcessKind;
  readonly pid: number;
  readonly state: ProcessState;
  readonly ageSeconds: number;
  /** Requests received, or attempts at jobs finished, since the start of the process. */
  readonly requests: number;
  /** Requests not answered yet, or attempts in progress. */
  readonly inFlight: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** The maximum delay of its event loop within the last second. */
  readonly eventLoopLagMs: number;
  /** The share of the last second in which its event loop was busy: 0 to 1. */
  readonly utilisation: number;
  /** Seconds since its last message, or since its fork. A healthy process sends a heartbeat every second. */
  readonly secondsSinceHeartbeat: number;
}

/** The numbers that a process reports with each heartbeat. */
export type Vitals = Pick<
  ProcessReport,
  'requests' | 'inFlight' | 'rssBytes' | 'heapBytes' | 'eventLoopLagMs' | 'utilisation'
>;

/** A worker that has missed a few heartbeats is blocked, and answers no request at present. */
const unresponsiveSeconds = 4;

/** Returns whether at least one worker can answer requests now. */
export function fleetReadiness(reports: readonly ProcessReport[], isStopping: boolean): FleetReadiness {
  if (isStopping) return { ready: false, detail: 'The program is stopping.' };
  const ready = reports.filter(({ state }) => state === 'ready');
  const responsive = ready.filter(({ secondsSinceHeartbeat }) => secondsSinceHeartbeat < unresponsiveSeconds);
  const detail = `${responsive.length} of ${reports.length} workers answer.`;
  if (responsive.length > 0) return { ready: true, detail };
  if (ready.length === 0) return { ready: false, detail: 'No worker is ready yet.' };
  return {
    ready: false,
    detail: `${ready.length} workers are ready, but the event loop of each is blocked.`,
  };
}
