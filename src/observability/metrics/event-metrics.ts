import type { EventName } from '../events.ts';
import type { CounterSeries, Metrics } from './metrics.ts';

/**
 * Counts every event that is logged, by its name, also where the log's level leaves its line out: failed logins, refused
 * credentials, slow queries, workers that ended. All names are there from the start, at 0, so that the first
 * occurrence is an increase already. The returned function is for the logger to call.
 */
export function countEvents(metrics: Metrics, events: readonly EventName[]): (event: EventName) => void {
  const counter = metrics.counter({
    name: 'log_events_total',
    help: 'Events by their name in the log, whether their lines were written or not.',
    labels: ['event'],
  });
  const series = new Map<EventName, CounterSeries>(events.map((event) => [event, counter.of(event)]));
  return (event) => series.get(event)?.add();
}
