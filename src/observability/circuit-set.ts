/**
 * The circuit breakers of one kind, such as those of the called services, with what operators see of them: an event when one
 * opens and when it closes again, the number of open circuits, and their names for readiness. A half-open circuit counts as open.
 */

import { type BreakerPolicy, type BreakerState, CircuitBreaker } from '../resilience/circuit-breaker.ts';
import type { LogFields, Logger } from './logger.ts';
import type { CounterSeries, GaugeSeries, Metric, Metrics } from './metrics/metrics.ts';

/** A circuit protects a part of the program, a called service (`outgoing`) or a route. */
export const circuitKinds = ['cache', 'database', 'mail', 'outgoing', 'rate_limit', 'route'] as const;
export type CircuitKind = (typeof circuitKinds)[number];

export interface CircuitMetrics {
  readonly open: Metric<GaugeSeries>;
  readonly rejected: Metric<CounterSeries>;
}

/** Declares the metrics of all kinds. Call it once for each registry. */
export function createCircuitMetrics(metrics: Metrics): CircuitMetrics {
  return {
    open: metrics.gauge({
      name: 'circuits_open',
      help: `Circuits that reject calls because the calls before them failed, by kind: ${circuitKinds.join(', ')}.`,
      labels: ['kind'],
    }),
    rejected: metrics.counter({
      name: 'circuit_rejections_total',
      help: `Calls that an open circuit rejected, by kind: ${circuitKinds.join(', ')}.`,
      labels: ['kind'],
    }),
  };
}

export interface CircuitSetOptions {
  readonly kind: CircuitKind;
  readonly policy: BreakerPolicy;
  readonly log: Logger;
  readonly metrics: CircuitMetrics;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

export interface CircuitOptions {
  /** The fields of both events. */
  readonly fields?: LogFields;
  /** Returns further fields of `circuit.opened`. */
  readonly describe?: () => LogFields;
  /** Called with each new state. */
  readonly onChange?: (state: BreakerState) => void;
}

export interface CircuitSet {
  /** Creates a breaker. `name` appears in the log and in readiness. */
  create(name: string, options?: CircuitOptions): CircuitBreaker;
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
  /** A circuit that is not called any more closes with time, which the metrics and the log must show. */
  const watchIdle = (breaker: CircuitBreaker, ms: number) => {
    setTimeout(() => {
      if (open.has(breaker) && breaker.state(now()) === 'half-open') watchIdle(breaker, policy.windowMs);
    }, ms + 1).unref();
  };
  return {
    create(name, { fields = {}, describe, onChange } = {}) {
      const breaker: CircuitBreaker = new CircuitBreaker(policy, (state: BreakerState) => {
        onChange?.(state);
        if (state === 'open') watchIdle(breaker, breaker.retryAfterMs(now()) + policy.windowMs);
        // A failed trial opens the circuit again, but the outage is the same.
        const isSame = state === 'half-open' || (state === 'open' && open.has(breaker));
        if (isSame) return;
        if (state === 'open') open.set(breaker, name);
        else open.delete(breaker);
        gauge.set(open.size);
        if (state === 'closed') log.info('circuit.closed', { kind, circuit: name, ...fields });
        else {
          const seconds = Math.ceil(breaker.retryAfterMs(now()) / 1000);
          log.error('circuit.opened', {
            ...{ kind, circuit: name, open_seconds: seconds },
            ...fields,
            ...describe?.(),
          });
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
