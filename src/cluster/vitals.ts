import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { readProcessMemory } from '../observability/metrics/process-memory.ts';
import type { Vitals } from './fleet.ts';

/** What a process knows of the requests that it answers. */
export interface RequestCounts {
  /** Requests received since the start. */
  requests(): number;
  /** Those of them that have not been answered yet. */
  inFlight(): number;
}

export interface VitalsReader {
  /** The vitals since the last reading. */
  read(): Vitals;
  stop(): void;
}

const samplingMs = 20;

/** Starts to observe this process. There is one reader, for each reading starts anew. */
export function observeVitals(counts: RequestCounts): VitalsReader {
  const delay = monitorEventLoopDelay({ resolution: samplingMs });
  delay.enable();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  return {
    read() {
      const total = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(total, before);
      before = total;
      // Each sample holds the time from one to the next: what is beyond the resolution is lateness.
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

/** Of a process that has said nothing yet. */
export const noVitals: Vitals = {
  requests: 0,
  inFlight: 0,
  rssBytes: 0,
  heapBytes: 0,
  eventLoopLagMs: 0,
  utilisation: 0,
};
