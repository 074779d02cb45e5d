import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from '../../bench/measure.ts';
import type { Results, VariantResult } from '../../bench/results.ts';
import { renderReport } from '../../bench/table.ts';
import { judge } from '../../bench/targets.ts';

test('the report shows medians, the ratio to the bare server, and the work per CPU second of the peer', () => {
  const report = renderReport(
    results([
      variant('bare', [10, 10, 10]),
      variant('strata', [18, 19, 20], 'fastify'),
      variant('fastify', [50, 57, 60]),
    ]),
  );
  assert.match(report, /^\| Title of strata +\| +19\.0 ±0\.5 \| +1\.90 \| +3\.00 \|/m);
  assert.match(report, /^\| Title of fastify +\| +57\.0 ±2\.5 \| +5\.70 \| +\|/m);
});

test('a ratio whose rounds differ too much is not printed without its spread', () => {
  const report = renderReport(results([variant('bare', [10, 10, 10]), variant('strata', [10, 20, 30])]));
  assert.match(report, /^\| Title of strata +\| +20\.0 ±5\.0 \| +2\.00 \(spread 50 %\) \|/m);
});

test('the report says where it was measured, that nothing was pinned, and what was not run', () => {
  const report = renderReport({
    ...results([variant('bare', [10])]),
    notRun: [{ name: 'strata-database', reason: 'There is no PostgreSQL here.' }],
  });
  assert.match(report, /A fast one, 2 processors/);
  assert.match(report, /NOT pinned/);
  assert.match(report, /^Not run: strata-database\. There is no PostgreSQL here\.$/m);
});

test('a target is met or not by its median, and by nothing when it is uncertain or was not measured', () => {
  const verdicts = (...variants: VariantResult[]) => judge({ variants }).map(({ verdict }) => verdict);
  const bare = variant('bare', [10, 10]);
  const [pipeline, , , , , , , memory, start] = verdicts(bare, variant('strata', [20, 20]));
  assert.deepEqual([pipeline, memory, start], ['met', 'met', 'met']);
  assert.equal(verdicts(bare, variant('strata', [21, 21]))[0], 'not met');
  assert.equal(verdicts(bare, variant('strata', [10, 20]))[0], 'too uncertain');
  assert.equal(verdicts(variant('strata', [10, 20]))[0], 'not measured');
});

test('a target against a framework counts how much more work a CPU second does', () => {
  const [, whole] = judge({ variants: [variant('strata', [20, 20]), variant('fastify', [60, 60])] });
  assert.deepEqual([whole?.measured, whole?.verdict], ['3.00 x', 'met']);
});

function variant(name: string, cpuMicros: readonly number[], peer?: string): VariantResult {
  const rest = { requestsPerSecond: 1000, p50Ms: 1, p99Ms: 2, residentMegabytes: 60, startMs: 100 };
  const samples = cpuMicros.map((micros): Sample => ({ ...rest, cpuMicros: micros }));
  return { name, title: `Title of ${name}`, samples, ...(peer !== undefined && { peer }) };
}

function results(variants: readonly VariantResult[]): Results {
  return {
    date: '2026-01-31T12:00:00.000Z',
    machine: { processor: 'A fast one', processors: 2, memoryBytes: 1e9, system: 'linux', loadBefore: 0 },
    versions: { node: 'v20.20.2' },
    loadGenerator: 'wrk',
    pinning: null,
    seconds: 5,
    variants,
    notRun: [],
  };
}
