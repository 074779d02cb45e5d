import { type Fleet, fleetReadiness, type ProcessKind, type ProcessReport } from './fleet.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import type { ProcessState } from './process-state.ts';
import type { SupervisedProcess } from './supervised-process.ts';
import { noVitals, observeVitals, type RequestCounts, type VitalsReader } from './vitals.ts';

export interface SingleFleetOptions {
  /** The kind of work of this process. */
  readonly kind: ProcessKind;
  /** The metrics of this process and of its children. */
  readonly metrics: Pick<FleetMetrics, 'collect'>;
  /** Returns the processes that this one supervises. */
  readonly children?: () => Iterable<SupervisedProcess>;
}

export interface SingleFleet {
  readonly fleet: Fleet;
  /** Sets the state to `ready`, and reports these counts from now on. */
  becomeReady(counts: RequestCounts): void;
  /** Sets the state to `draining`. */
  drain(): void;
}

const readEveryMs = 1_000;

/** Creates the fleet of a process that does its work itself, as its only worker. */
export function createSingleFleet({ kind, metrics, children = () => [] }: SingleFleetOptions): SingleFleet {
  let state: ProcessState = 'starting';
  let vitals = noVitals;
  let reader: VitalsReader | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(): ProcessReport {
    return {
      id: 1,
      kind,
      pid: process.pid,
      state,
      ageSeconds: Math.round(performance.now() / 100) / 10,
      ...vitals,
      // A process that can report this is not blocked.
      secondsSinceHeartbeat: 0,
    };
  }

  return {
    fleet: {
      reports: () => [report(), ...Array.from(children(), (child) => child.report())],
      readiness: async () => fleetReadiness([report()], state === 'draining'),
      collectMetrics: metrics.collect,
    },
    becomeReady(counts) {
      state = 'ready';
      const observed = observeVitals(counts);
      reader = observed;
      vitals = observed.read();
      timer = setInterval(() => {
        vitals = observed.read();
      }, readEveryMs);
      timer.unref();
    },
    drain() {
      state = 'draining';
      clearInterval(timer);
      reader?.stop();
    },
  };
}
