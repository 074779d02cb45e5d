import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { lastingPart, mergeSnapshots } from '../../../src/observability/metrics/merge-metrics.ts';
import { createMetrics, type MetricsSnapshot } from '../../../src/observability/metrics/metrics.ts';

/** The work of a process: its counts by label, and its observations. */
interface Work {
  readonly counted: readonly (readonly [label: string, amount: number])[];
  readonly observed: readonly number[];
  readonly level: number;
}

const work: fc.Arbitrary<Work> = fc.record({
  counted: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(100))),
  observed: fc.array(fc.nat(100)),
  level: fc.nat(100),
});

function snapshotOf({ counted, observed, level }: Work, worker = '1'): MetricsSnapshot {
  const metrics = createMetrics({ worker });
  const counter = metrics.counter({ name: 'things_total', help: 'Things.', labels: ['kind'] });
  const histogram = metrics.histogram({ name: 'sizes', help: 'Sizes.', bounds: [10, 50] });
  for (const [label, amount] of counted) counter.of(label).add(amount);
  for (const value of observed) histogram.of().observe(value);
  metrics.gauge({ name: 'connections', help: 'Connections.' }).of().set(level);
  metrics.gauge({ name: 'memory_bytes', help: 'Memory.', perWorker: true }).of().set(level);
  return metrics.snapshot();
}

/** Returns every number by its name and labels, independent of the order. */
function numbersOf(snapshot: MetricsSnapshot): Map<string, readonly number[]> {
  return new Map(
    snapshot
      .flatMap(({ name, series }) =>
        series.map(({ values, numbers }): [string, readonly number[]] => [`${name} ${values}`, numbers]),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

describe('mergeSnapshots', () => {
  it('the merged snapshot equals that of one process that had done all the work', () => {
    fc.assert(
      fc.property(fc.array(work, { minLength: 1, maxLength: 5 }), (works) => {
        const merged = mergeSnapshots(works.map((each) => snapshotOf(each)));
        const all = snapshotOf({
          counted: works.flatMap(({ counted }) => counted),
          observed: works.flatMap(({ observed }) => observed),
          level: works.reduce((sum, { level }) => sum + level, 0),
        });
        assert.deepEqual(numbersOf(merged), numbersOf(all));
      }),
    );
  });

  it('the result does not depend on the order and grouping of the merges', () => {
    fc.assert(
      fc.property(work, work, work, (...works) => {
        const [a, b, c] = [snapshotOf(works[0], '1'), snapshotOf(works[1], '2'), snapshotOf(works[2], '3')];
        const once = numbersOf(mergeSnapshots([a, b, c]));
        assert.deepEqual(numbersOf(mergeSnapshots([c, a, b])), once);
        assert.deepEqual(numbersOf(mergeSnapshots([mergeSnapshots([a, b]), c])), once);
        assert.deepEqual(numbersOf(mergeSnapshots([a, mergeSnapshots([b, c])])), once);
      }),
    );
  });

  it('gauges of single processes are kept apart', () => {
    const nothing = { counted: [], observed: [] };
    const merged = mergeSnapshots([
      snapshotOf({ ...nothing, level: 3 }, '1'),
      snapshotOf({ ...nothing, level: 4 }, '2'),
    ]);
    assert.deepEqual(merged.find(({ name }) => name === 'memory_bytes')?.series, [
      { values: ['1'], numbers: [3] },
      { values: ['2'], numbers: [4] },
    ]);
    assert.deepEqual(merged.find(({ name }) => name === 'connections')?.series, [
      { values: [], numbers: [7] },
    ]);
  });

  it('the given snapshots are not modified', () => {
    const given = snapshotOf({ counted: [['a', 1]], observed: [1], level: 1 });
    const copy = structuredClone(given);
    mergeSnapshots([given, given]);
    assert.deepEqual(given, copy);
  });

  it('a family that another version of the program declares differently is omitted', () => {
    const declare = (bounds: number[]) => {
      const metrics = createMetrics();
      metrics.histogram({ name: 'sizes', help: 'Sizes.', bounds }).of().observe(1);
      return metrics.snapshot();
    };
    assert.deepEqual(mergeSnapshots([declare([5]), declare([5, 10]), declare([5])])[0]?.series, [
      { values: [], numbers: [2, 0, 2] },
    ]);
  });
});

it('lastingPart returns counters and histograms', () => {
  const lasting = lastingPart(snapshotOf({ counted: [['a', 1]], observed: [1], level: 1 }));
  assert.deepEqual(
    lasting.map(({ name }) => name),
    ['things_total', 'sizes'],
  );
});
