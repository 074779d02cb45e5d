/** The delay before a process that died is replaced, and the counters of replaced processes. */

import type { CounterSeries, MetricSpec, Metrics } from '../observability/metrics/metrics.ts';
import { exponentialDelay } from '../resilience/retry.ts';
import { type ProcessEndReason, processEndReasons } from './process-state.ts';

/** Delays the replacement of a process that died, so that processes that keep dying do not cause a storm of forks. */
export interface RestartDelay {
  /** Records the death of a process that had been ready for `readyMs` milliseconds; 0 if it never was. */
  afterDeath(readyMs: number): { readonly delayMs: number; readonly deathsInRow: number };
}

const firstMs = 100;
/** For a process that never was ready: the cause will probably prevent the start of the next one too. */
const maxMs = 30_000;
/** For a process that was ready: its successor works until the same request or job arrives again, so it starts soon. */
const maxAfterReadyMs = 1_000;

/** After this time as ready, the cause of an exit is probably not in the start. */
const stableMs = 10_000;

/**
 * The delay doubles with each death in a row, from 0.1 s up to 30 s, or up to 1 s if the process had been ready. A death
 * after ten seconds as ready starts a new row.
 */
export function createRestartDelay(): RestartDelay {
  let deathsInRow = 0;
  return {
    afterDeath(readyMs) {
      deathsInRow = readyMs >= stableMs ? 1 : deathsInRow + 1;
      const max = readyMs > 0 ? maxAfterReadyMs : maxMs;
      return { delayMs: exponentialDelay(deathsInRow, { baseMs: firstMs, maxMs: max }), deathsInRow };
    },
  };
}

/**
 * Creates one series for each reason for which a process is replaced. Each starts at 0, so that Prometheus sees the first
 * replacement as an increase.
 */
export function createRestartCounters(
  metrics: Metrics,
  spec: Pick<MetricSpec, 'name' | 'help'>,
): ReadonlyMap<ProcessEndReason, CounterSeries> {
  const counter = metrics.counter({ ...spec, labels: ['reason'] });
  const reasons = processEndReasons.filter((reason) => reason !== 'stopped' && reason !== 'removed');
  return new Map(reasons.map((reason) => [reason, counter.of(reason)]));
}
