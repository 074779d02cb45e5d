import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { renderPrometheus } from '../../../src/observability/metrics/prometheus.ts';

it('a family is rendered with its help, its type and a line per series', () => {
  const metrics = createMetrics();
  const counter = metrics.counter({ name: 'things_total', help: 'Things.', labels: ['kind', 'size'] });
  counter.of('a', 'big').add(2);
  counter.of('b', 'small').add(0.5);
  metrics.gauge({ name: 'level', help: 'The level.' }).of().set(-3);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    [
      '# HELP things_total Things.',
      '# TYPE things_total counter',
      'things_total{kind="a",size="big"} 2',
      'things_total{kind="b",size="small"} 0.5',
      '# HELP level The level.',
      '# TYPE level gauge',
      'level -3',
      '',
    ].join('\n'),
  );
});

it('the buckets of a histogram are cumulative', () => {
  const metrics = createMetrics();
  const series = metrics
    .histogram({ name: 'seconds', help: 'Time.', labels: ['kind'], bounds: [0.1, 1] })
    .of('a');
  for (const value of [0.05, 0.25, 0.5, 4]) series.observe(value);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    [
      '# HELP seconds Time.',
      '# TYPE seconds histogram',
      'seconds_bucket{kind="a",le="0.1"} 1',
      'seconds_bucket{kind="a",le="1"} 3',
      'seconds_bucket{kind="a",le="+Inf"} 4',
      'seconds_sum{kind="a"} 4.8',
      'seconds_count{kind="a"} 4',
      '',
    ].join('\n'),
  );
});

it('texts are escaped', () => {
  const metrics = createMetrics();
  metrics
    .gauge({ name: 'odd', help: 'A \\ and\na line.', labels: ['text'] })
    .of('say "\\"\nevil 1')
    .set(1);
  assert.equal(
    renderPrometheus(metrics.snapshot()),
    '# HELP odd A \\\\ and\\na line.\n# TYPE odd gauge\nodd{text="say \\"\\\\\\"\\nevil 1"} 1\n',
  );
});

it('a family without series is omitted', () => {
  const metrics = createMetrics();
  metrics.counter({ name: 'things_total', help: 'Things.', labels: ['kind'] });
  assert.equal(renderPrometheus(metrics.snapshot()), '');
});
