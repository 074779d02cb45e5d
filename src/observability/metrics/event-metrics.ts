import type { EventName } from '../events.ts';
import type { CounterSeries, Metrics } from './metrics.ts';

/**
 * Counts every event by its name, even if the log level suppresses its line: failed logins, rejected credentials, slow
 * queries, workers that exited. All series start at 0, so that the first occurrence is an increase. The logger calls the
 * returned function.
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
