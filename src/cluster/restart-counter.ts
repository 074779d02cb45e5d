import type { CounterSeries, MetricSpec, Metrics } from '../observability/metrics/metrics.ts';
import { type WorkerEndReason, workerEndReasons } from './worker-state.ts';

/** One series for each reason for which a process is replaced; at 0 from the start, so that the first is an increase. */
export function countRestarts(
  metrics: Metrics,
  spec: Pick<MetricSpec, 'name' | 'help'>,
): ReadonlyMap<WorkerEndReason, CounterSeries> {
  const counter = metrics.counter({ ...spec, labels: ['reason'] });
  const reasons = workerEndReasons.filter((reason) => reason !== 'stopped' && reason !== 'removed');
  return new Map(reasons.map((reason) => [reason, counter.of(reason)]));
}
