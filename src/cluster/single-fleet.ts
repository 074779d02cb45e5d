import type { Metrics } from '../observability/metrics.ts';
import type { Fleet, WorkerReport } from './fleet.ts';
import { readinessOf } from './fleet-readiness.ts';
import { noVitals, observeVitals, type RequestCounts, type VitalsReader } from './vitals.ts';
import type { WorkerState } from './worker-state.ts';

export interface SingleFleet {
  readonly fleet: Fleet;
  /** From now on the server answers. */
  serve(counts: RequestCounts): void;
  /** From now on it only answers what it has. */
  drain(): void;
}

const readingMs = 1_000;

/** The fleet of a process that answers requests by itself, as its only worker. */
export function createSingleFleet(metrics: Metrics): SingleFleet {
  let state: WorkerState = 'starting';
  let vitals = noVitals;
  let reader: VitalsReader | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(): WorkerReport {
    return {
      id: 1,
      pid: process.pid,
      state,
      ageSeconds: Math.round(performance.now() / 100) / 10,
      ...vitals,
      // Who can say this is not silent.
      silentSeconds: 0,
    };
  }

  return {
    fleet: {
      reports: () => [report()],
      readiness: async () => readinessOf([report()], state === 'draining'),
      collectMetrics: async () => metrics.snapshot(),
    },
    serve(counts) {
      state = 'ready';
      const observed = observeVitals(counts);
      reader = observed;
      vitals = observed.read();
      timer = setInterval(() => {
        vitals = observed.read();
      }, readingMs);
      timer.unref();
    },
    drain() {
      state = 'draining';
      clearInterval(timer);
      reader?.stop();
    },
  };
}
