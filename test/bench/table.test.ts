import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CellResult, Results, Sample } from '../../bench/results.ts';
import type { ScenarioName } from '../../bench/scenarios.ts';
import { renderReport } from '../../bench/table.ts';
import { judge } from '../../bench/targets.ts';

test('the main table shows medians and the ratios to the bare server and to Strata', () => {
  const report = renderReport(
    results([cell('bare', [10, 10, 10]), cell('strata', [18, 19, 20]), cell('fastify', [50, 57, 60])]),
  );
  assert.match(report, /^\| Strata, whole +\| +19\.0 ±0\.5 \| +1\.90 \| +1\.00 \| +1000 \|/m);
  assert.match(report, /^\| Fastify, same layers +\| +57\.0 ±2\.5 \| +5\.70 \| +3\.00 \|/m);
});

test('the other scenarios have a table of their own, with ratios inside the scenario', () => {
  const report = renderReport(
    results([
      cell('strata', [20, 20]),
      cell('strata', [40, 40], { scenario: 'row' }),
      cell('fastify', [60, 60], { scenario: 'row' }),
      cell('strata', [22, 22], { scenario: 'bearer' }),
    ]),
  );
  assert.match(report, /^\| row +\| Fastify, same layers +\| +60\.0 ±0\.0 \| +\| +1\.50 \|/m);
  assert.ok(report.indexOf('| bearer ') < report.indexOf('| row '), 'the order is that of the scenarios');
});

test('a ratio whose rounds differ too much is not printed without its spread', () => {
  const report = renderReport(results([cell('bare', [10, 10, 10]), cell('strata', [10, 20, 30])]));
  assert.match(report, /^\| Strata, whole +\| +20\.0 ±5\.0 \| +2\.00 \(spread 50 %\) \|/m);
});

test('latencies are left out where the rate was too much for the server', () => {
  const slow = cell('fastapi', [1250, 1250], { requestsPerSecond: 600 });
  const report = renderReport({ ...results([slow, cell('bare', [10, 10])]), rate: 500 });
  assert.match(report, /^\| FastAPI.*\| +600 \| +saturated \| +saturated \| +saturated \|/m);
  assert.match(report, /^\| node:http, bare .*\| +1000 \| +1\.00 \| +2\.00 \| +3\.00 \|/m);
});

test('the report names the machine, the missing pinning, and the variants that did not run', () => {
  const report = renderReport({
    ...results([cell('bare', [10])]),
    notRun: [
      { variant: 'strata', scenario: 'row', reason: 'There is no PostgreSQL here.' },
      { variant: 'fastapi', reason: 'There is no Python.' },
    ],
  });
  assert.match(report, /A fast one, 2 processors/);
  assert.match(report, /NOT pinned/);
  assert.match(report, /^Not run: strata, row\. There is no PostgreSQL here\.$/m);
  assert.match(report, /^Not run: fastapi\. There is no Python\.$/m);
});

test('a target is met or not by its median, and by nothing when it is uncertain or was not measured', () => {
  const bare = cell('bare', [10, 10]);
  const pipeline = /whole pipeline: at most 2\.0 x/;
  assert.equal(verdict([bare, cell('strata', [20, 20])], pipeline), '2.00 x: met');
  assert.equal(verdict([bare, cell('strata', [21, 21])], pipeline), '2.10 x: not met');
  assert.equal(verdict([bare, cell('strata', [10, 20])], pipeline), '1.50 x (spread 34 %): too uncertain');
  assert.equal(verdict([cell('strata', [10, 20])], pipeline), ': not measured');
  assert.equal(verdict([bare, cell('strata', [20, 20])], /resident memory/), '1.00 x: met');
  assert.equal(verdict([cell('strata', [20, 20])], /start: under 300 ms/), '100 ms: met');
});

test('a target against a framework counts how much more work a CPU second does', () => {
  const strata = cell('strata', [20, 20]);
  for (const [name, promise, times] of [
    ['fastify', /of Fastify with the same layers/, 2.5],
    ['express', /of Express with the same layers/, 10],
    ['hono', /Hono/, 4],
    ['nest-fastify', /Nest on Fastify/, 4],
    ['nest-express', /Nest on Express/, 4],
    ['fastapi', /whole pipeline.*FastAPI/, 40],
  ] as const) {
    const enough = cell(name, [20 * times, 20 * times]);
    const tooLittle = cell(name, [19 * times, 19 * times]);
    assert.equal(verdict([strata, enough], promise), `${times.toFixed(2)} x: met`);
    assert.equal(verdict([strata, tooLittle], promise), `${(times * 0.95).toFixed(2)} x: not met`);
  }
});

test('a row is compared with the same row, and a token with the same server without one', () => {
  const row = { scenario: 'row' } as const;
  const cells = [
    cell('strata', [20, 20]),
    cell('strata', [23, 23], { scenario: 'bearer' }),
    cell('strata', [40, 40], row),
    cell('fastify', [60, 60], row),
    cell('fastapi', [160, 160], row),
  ];
  assert.equal(verdict(cells, /an access token/), '1.15 x: met');
  assert.equal(verdict(cells, /row.*Fastify/), '1.50 x: met');
  assert.equal(verdict(cells, /row.*FastAPI/), '4.00 x: not met');
});

function verdict(cells: CellResult[], promise: RegExp): string {
  const [found, ...more] = judge({ cells }).filter((each) => promise.test(each.promise));
  assert.ok(found !== undefined && more.length === 0, `one target for ${promise}`);
  return `${found.measured}: ${found.verdict}`;
}

function cell(
  variant: string,
  cpuMicros: readonly number[],
  {
    scenario = 'person',
    requestsPerSecond = 1000,
  }: { scenario?: ScenarioName; requestsPerSecond?: number } = {},
): CellResult {
  const rest = { p50Ms: 1, p99Ms: 2, p999Ms: 3, residentMegabytes: 60, startMs: 100 };
  const samples = cpuMicros.map((micros): Sample => ({ ...rest, requestsPerSecond, cpuMicros: micros }));
  return { variant, scenario, samples };
}

function results(cells: CellResult[]): Results {
  return {
    date: '2026-01-31T12:00:00.000Z',
    machine: { processor: 'A fast one', processors: 2, memoryBytes: 1e9, system: 'linux', loadBefore: 0 },
    versions: { node: 'v20.20.2' },
    loadGenerator: 'wrk',
    pinning: null,
    rounds: 2,
    seconds: 5,
    rate: 500,
    cells,
    notRun: [],
  };
}
