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

it('every event that is logged is counted, by whichever logger, and also where its line is left out', () => {
  const { log, count, text } = start();
  log.warning('auth.login.failed');
  log.named('auth').debug('auth.login.failed', { why: 'a' });
  log.bind({ a: 1 }).line('INFO', 'auth.login.failed', ',"b":2');
  log.error('worker.exited');
  assert.deepEqual([count('auth.login.failed'), count('worker.exited')], [3, 1]);
  assert.equal(text().split('\n').length, 2);
});

it('an event that has not happened is there, at 0, so that its first time is an increase', () => {
  const { metrics } = start();
  assert.deepEqual(
    metrics.snapshot()[0]?.series.map(({ values, numbers }) => [values[0], numbers[0]]),
    events.map((event) => [event, 0]),
  );
});
