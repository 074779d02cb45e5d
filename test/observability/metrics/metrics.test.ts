import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';

const help = 'Things.';

describe('a counter', () => {
  it('a counter sums the amounts of each set of label values', () => {
    const metrics = createMetrics();
    const counter = metrics.counter({ name: 'things_total', help, labels: ['kind'] });
    counter.of('a').add();
    counter.of('b').add(2);
    counter.of('a').add();
    assert.deepEqual(metrics.snapshot(), [
      {
        name: 'things_total',
        help,
        kind: 'counter',
        labels: ['kind'],
        bounds: [],
        series: [
          { values: ['a'], numbers: [2] },
          { values: ['b'], numbers: [2] },
        ],
      },
    ]);
  });

  it('a counter never decreases, for any amount', () => {
    const metrics = createMetrics();
    const series = metrics.counter({ name: 'things_total', help }).of();
    for (const amount of [3, -1, Number.NaN, 0, 2]) series.add(amount);
    assert.deepEqual(series.numbers, [5]);
  });
});

describe('a gauge', () => {
  it('a gauge has the last finite value', () => {
    const metrics = createMetrics();
    const series = metrics.gauge({ name: 'level', help }).of();
    for (const value of [3, -1.5, Number.NaN, Number.POSITIVE_INFINITY]) series.set(value);
    assert.deepEqual(series.numbers, [-1.5]);
  });

  it('a perWorker gauge has the name of its process as a label', () => {
    const metrics = createMetrics({ worker: '7' });
    metrics
      .gauge({ name: 'level', help, labels: ['side'], perWorker: true })
      .of('left')
      .set(1);
    const [family] = metrics.snapshot();
    assert.deepEqual(family?.labels, ['side', 'worker']);
    assert.deepEqual(family?.series, [{ values: ['left', '7'], numbers: [1] }]);
  });
});

describe('a histogram', () => {
  it('an observation is counted in the first bucket whose bound is not below it', () => {
    const metrics = createMetrics();
    const series = metrics.histogram({ name: 'sizes', help, bounds: [1, 10] }).of();
    for (const value of [0, 1, 1.5, 10, 10.5, Number.NaN]) series.observe(value);
    assert.deepEqual(series.numbers, [2, 2, 1, 23]);
  });

  it('a histogram has the counts and the sum of any observations', () => {
    const values = fc.array(fc.integer({ min: -1000, max: 1000 }));
    const bounds = fc
      .uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 8 })
      .map((list) => list.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(values, bounds, (observed, limits) => {
        const series = createMetrics().histogram({ name: 'sizes', help, bounds: limits }).of();
        for (const value of observed) series.observe(value);
        const edges = [Number.NEGATIVE_INFINITY, ...limits, Number.POSITIVE_INFINITY];
        const counts = edges
          .slice(1)
          .map(
            (edge, index) => observed.filter((value) => value <= edge && value > (edges[index] ?? 0)).length,
          );
        assert.deepEqual(series.numbers, [...counts, observed.reduce((sum, value) => sum + value, 0)]);
      }),
    );
  });
});

describe('a registry', () => {
  it('each snapshot calls the collectors', () => {
    const metrics = createMetrics();
    const series = metrics.counter({ name: 'looks_total', help }).of();
    metrics.onCollect(() => series.add());
    metrics.snapshot();
    assert.deepEqual(metrics.snapshot()[0]?.series, [{ values: [], numbers: [2] }]);
  });

  it('a snapshot does not change afterwards, and is valid JSON', () => {
    const metrics = createMetrics();
    const series = metrics.histogram({ name: 'sizes', help, bounds: [1] }).of();
    series.observe(0.5);
    const before = metrics.snapshot();
    series.observe(2);
    assert.deepEqual(before[0]?.series, [{ values: [], numbers: [1, 0, 0.5] }]);
    assert.deepEqual(JSON.parse(JSON.stringify(before)), before);
  });

  const metrics = createMetrics();
  metrics.gauge({ name: 'taken', help });
  const mistakes: [what: string, make: () => unknown, message: RegExp][] = [
    ['a name twice', () => metrics.counter({ name: 'taken', help }), /declared twice/],
    ['a name that Prometheus does not take', () => metrics.gauge({ name: 'a-b', help }), /snake_case/],
    [
      'a label that means something else',
      () => metrics.gauge({ name: 'a', help, labels: ['le'] }),
      /label "le"/,
    ],
    ['buckets out of order', () => metrics.histogram({ name: 'b', help, bounds: [2, 1] }), /ascending/],
    ['no buckets', () => metrics.histogram({ name: 'c', help, bounds: [] }), /finite bounds/],
    [
      'too few label values',
      () => metrics.counter({ name: 'd_total', help, labels: ['x'] }).of(),
      /one value for each/,
    ],
  ];
  for (const [what, make, message] of mistakes) {
    it(`a registry rejects ${what}`, () => {
      assert.throws(make, message);
    });
  }
});
