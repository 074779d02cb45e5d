import type { Fleet, WorkerKind, WorkerReport } from './fleet.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import { readinessOf } from './fleet-readiness.ts';
import type { SupervisedWorker } from './supervised-worker.ts';
import { noVitals, observeVitals, type RequestCounts, type VitalsReader } from './vitals.ts';
import type { WorkerState } from './worker-state.ts';

export interface SingleFleetOptions {
  /** What this process does. */
  readonly kind: WorkerKind;
  /** The metrics of this process and of those beside it. */
  readonly metrics: Pick<FleetMetrics, 'collect'>;
  /** The processes beside it that it supervises. */
  readonly beside?: () => Iterable<SupervisedWorker>;
}

export interface SingleFleet {
  readonly fleet: Fleet;
  /** From now on it does its work. */
  serve(counts: RequestCounts): void;
  /** From now on it only ends what it has. */
  drain(): void;
}

const readingMs = 1_000;

/** The fleet of a process that does its work by itself, as its only worker. */
export function createSingleFleet({ kind, metrics, beside = () => [] }: SingleFleetOptions): SingleFleet {
  let state: WorkerState = 'starting';
  let vitals = noVitals;
  let reader: VitalsReader | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(): WorkerReport {
    return {
      id: 1,
      kind,
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
      reports: () => [report(), ...Array.from(beside(), (other) => other.report())],
      readiness: async () => readinessOf([report()], state === 'draining'),
      collectMetrics: metrics.collect,
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
