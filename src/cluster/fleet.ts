/**
 * What can be known of all processes that answer requests or run jobs, from the one that supervises them. The
 * management port asks it; the primary of several workers has it, and so has a single process, as a fleet of one. No
 * answer waits for a worker longer than its stated deadline, so that all of them come while every worker is blocked.
 */

import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';
import type { WorkerState } from './worker-state.ts';

export interface Fleet {
  /** One report for each process that is there, the oldest first. */
  reports(): readonly WorkerReport[];
  /** Whether requests can be answered now, and if not, why, in a sentence. Never rejects. */
  readiness(): Promise<Readiness>;
  /** The metrics of all processes, those that have ended included: no counter falls. Never rejects. */
  collectMetrics(): Promise<MetricsSnapshot>;
}

export interface Readiness {
  readonly ready: boolean;
  readonly detail: string;
}

/** What a process is for: it answers requests, or runs jobs. */
export const workerKinds = ['requests', 'jobs'] as const;
export type WorkerKind = (typeof workerKinds)[number];

/** A process as it last spoke of itself. Numbers are 0 until it has spoken. */
export interface WorkerReport {
  /** Counted for each kind by itself. */
  readonly id: number;
  readonly kind: WorkerKind;
  readonly pid: number;
  readonly state: WorkerState;
  readonly ageSeconds: number;
  /** Requests that it has received since it started, or attempts at jobs that have ended. */
  readonly requests: number;
  /** Those that have not been answered yet, or attempts under way. */
  readonly inFlight: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** The longest that its event loop was late within the last second. */
  readonly eventLoopLagMs: number;
  /** The share of the last second in which its event loop was busy: 0 to 1. */
  readonly utilisation: number;
  /** Since it last spoke, or was forked; a healthy process speaks every second. */
  readonly silentSeconds: number;
}

/** What a process says of itself every second. */
export type Vitals = Pick<
  WorkerReport,
  'requests' | 'inFlight' | 'rssBytes' | 'heapBytes' | 'eventLoopLagMs' | 'utilisation'
>;
