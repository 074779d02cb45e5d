import { type CircuitKind, createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { type CreateProbedCircuit, probedCircuit } from '../../src/observability/probed-circuit.ts';
import { captureLog } from './captured-log.ts';

export interface TestCircuit {
  readonly create: CreateProbedCircuit;
  /** Returns its changes from the log: `opened: ` with the reason, and `closed`. */
  changes(): string[];
}

/** A circuit that probes again after 20 to 200 ms, so that a test need not wait. */
export function makeTestCircuit(kind: CircuitKind): TestCircuit {
  const { log, lines } = captureLog();
  const metrics = createCircuitMetrics(createMetrics());
  return {
    create: probedCircuit({
      ...{ kind, name: 'test', openMs: 20, maxOpenMs: 200, log, metrics },
      advice: 'Wait.',
    }),
    changes: () =>
      lines().map(({ event, reason }) =>
        event === 'circuit.opened' ? `opened: ${String(reason)}` : String(event).replace('circuit.', ''),
      ),
  };
}
