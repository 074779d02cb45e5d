/**
 * The circuit breakers of one kind (the called services, or the routes), with what operators see of them: an event for each
 * opening and closing, the number of open circuits, and their names for readiness. A half-open circuit counts as open.
 */

import { type BreakerPolicy, type BreakerState, CircuitBreaker } from '../resilience/circuit-breaker.ts';
import type { Logger } from './logger.ts';
import type { CounterSeries, GaugeSeries, Metric, Metrics } from './metrics/metrics.ts';

export interface CircuitMetrics {
  readonly open: Metric<GaugeSeries>;
  readonly rejected: Metric<CounterSeries>;
}

/** Declares the metrics of all kinds. Call it once for each registry. */
export function createCircuitMetrics(metrics: Metrics): CircuitMetrics {
  return {
    open: metrics.gauge({
      name: 'circuits_open',
      help: 'Circuits that reject calls because most of the last ones failed: of called services (outgoing) and of routes (route).',
      labels: ['kind'],
    }),
    rejected: metrics.counter({
      name: 'circuit_rejections_total',
      help: 'Calls of services (outgoing) and requests of routes (route) that an open circuit rejected.',
      labels: ['kind'],
    }),
  };
}

export interface CircuitSetOptions {
  readonly kind: 'outgoing' | 'route';
  readonly policy: BreakerPolicy;
  readonly log: Logger;
  readonly metrics: CircuitMetrics;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

export interface CircuitSet {
  /** Creates a breaker. `name` appears in the log and in readiness, `fields` in the log. */
  create(name: string, fields?: Readonly<Record<string, unknown>>): CircuitBreaker;
  /** Forgets a breaker that is no longer used. */
  remove(breaker: CircuitBreaker): void;
  /** Counts a rejection. */
  countRejection(): void;
  /** Returns the names of the open circuits, each once, in alphabetical order. */
  openNames(): readonly string[];
}

export function createCircuitSet({ kind, policy, log, metrics, now }: CircuitSetOptions): CircuitSet {
  const open = new Map<CircuitBreaker, string>();
  const gauge = metrics.open.of(kind);
  const rejected = metrics.rejected.of(kind);
  return {
    create(name, fields = {}) {
      const breaker: CircuitBreaker = new CircuitBreaker(policy, (state: BreakerState) => {
        if (state === 'half-open') return;
        if (state === 'open') open.set(breaker, name);
        else open.delete(breaker);
        gauge.set(open.size);
        if (state === 'closed') log.info('circuit.closed', { kind, circuit: name, ...fields });
        else {
          const seconds = Math.ceil(breaker.retryAfterMs(now()) / 1000);
          log.error('circuit.opened', { kind, circuit: name, open_seconds: seconds, ...fields });
        }
      });
      return breaker;
    },
    remove(breaker) {
      open.delete(breaker);
      gauge.set(open.size);
    },
    countRejection: () => rejected.add(),
    openNames: () => [...new Set(open.values())].sort(),
  };
}
