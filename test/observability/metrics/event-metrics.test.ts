import assert from 'node:assert/strict';
import { it } from 'node:test';
import { events } from '../../../src/declarations.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { countEvents } from '../../../src/observability/metrics/event-metrics.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { metricValue } from '../../helpers/metric-value.ts';

function start() {
  const metrics = createMetrics();
  let text = '';
  const log = createLogger({
    level: 'ERROR',
    destination: {
      write(line) {
        text += line;
      },
      flush: async () => {},
    },
    onEvent: countEvents(metrics, events),
  });
  const count = (event: string) => metricValue(metrics.snapshot(), 'log_events_total', { event }).count;
  return { metrics, log, count, text: () => text };
}

it('every event is counted, by any logger, even if its line is suppressed', () => {
  const { log, count, text } = start();
  log.warning('auth.login.failed');
  log.named('auth').debug('auth.login.failed', { why: 'a' });
  log.bind({ a: 1 }).line('INFO', 'auth.login.failed', ',"b":2');
  log.error('process.exited');
  assert.deepEqual([count('auth.login.failed'), count('process.exited')], [3, 1]);
  assert.equal(text().split('\n').length, 2);
});

it('an event that has not occurred has a series at 0', () => {
  const { metrics } = start();
  assert.deepEqual(
    metrics.snapshot()[0]?.series.map(({ values, numbers }) => [values[0], numbers[0]]),
    events.map((event) => [event, 0]),
  );
});
