import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { readProcessMemory } from '../observability/metrics/process-memory.ts';
import type { Vitals } from './fleet.ts';

/** The request counts of a process. A process that runs jobs counts attempts instead. */
export interface RequestCounts {
  /** Requests received since the start. */
  requests(): number;
  /** Requests that have not been answered yet. */
  inFlight(): number;
}

export interface VitalsReader {
  /** Returns the vitals since the last call. */
  read(): Vitals;
  stop(): void;
}

const samplingMs = 20;

/** Starts to measure this process. Use one reader only: each reading resets the measurement. */
export function observeVitals(counts: RequestCounts): VitalsReader {
  const delay = monitorEventLoopDelay({ resolution: samplingMs });
  delay.enable();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  return {
    read() {
      const total = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(total, before);
      before = total;
      // A sample is the time since the sample before. Time beyond the resolution is a delay.
      const lagMs = Math.max(0, delay.max / 1e6 - samplingMs);
      delay.reset();
      const { rss, heapUsed } = readProcessMemory();
      return {
        requests: counts.requests(),
        inFlight: counts.inFlight(),
        rssBytes: rss,
        heapBytes: heapUsed,
        eventLoopLagMs: Math.round(lagMs * 10) / 10,
        utilisation: Math.round(utilization * 1000) / 1000,
      };
    },
    stop: () => void delay.disable(),
  };
}

/** The vitals of a process before its first heartbeat. */
export const noVitals: Vitals = {
  requests: 0,
  inFlight: 0,
  rssBytes: 0,
  heapBytes: 0,
  eventLoopLagMs: 0,
  utilisation: 0,
};
