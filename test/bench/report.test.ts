import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { JobsResults } from '../../bench/jobs/results.ts';
import type { LayerResults } from '../../bench/layer-prices.ts';
import { readLatest, writeReport } from '../../bench/report.ts';
import { type Found, renderReportPage } from '../../bench/report-page.ts';
import type { Results } from '../../bench/results.ts';
import { scenarioNames } from '../../bench/scenarios.ts';
import { variants } from '../../bench/variants.ts';
import { layerNames } from '../../src/settings/layer-names.ts';
import { assertWellFormed } from './well-formed.ts';

const nothing: Found = { main: undefined, layers: undefined, micro: undefined, jobs: undefined };

const machine = {
  processor: 'A <fast> & "good" one',
  processors: 2,
  memoryBytes: 1e9,
  system: 'linux',
  loadBefore: 0,
};
const origin = { date: '2026-01-31T12:00:00.000Z', machine, versions: { node: 'v20.20.2' } };

const main: Results = {
  ...origin,
  ...{ loadGenerator: 'wrk', pinning: null, rounds: 2, seconds: 5, rate: 500 },
  cells: [cell('bare', 11), cell('strata', 17), cell('fastify', 53), cell('fastapi', 1234, 600)],
  notRun: [{ variant: 'koa', reason: 'It is not here.' }],
};

const jobs: JobsResults = {
  ...origin,
  ...{ jobs: 20_001, singles: 203 },
  systems: [queue('strata', 9876, 2.34), queue('pg-boss', 4321, 7.89)],
};

test('without measurements, every section and every target is marked as not measured, and there are no charts', () => {
  const { page, charts } = renderReportPage(nothing);
  assert.deepEqual(charts, []);
  for (const title of [
    'The whole, on one request',
    'Other requests',
    "Each layer's price",
    'Parts by themselves',
    'Queue',
  ]) {
    assert.match(page, new RegExp(`^## ${title}\n\nnot measured$`, 'm'));
  }
  const targets = [...section(page, 'Targets').matchAll(/^\| \w.* \| +(.*) \|$/gm)].map(
    ([, verdict]) => verdict,
  );
  assert.ok(targets.length > 15);
  assert.deepEqual(new Set(targets.slice(1)), new Set(['not measured']));
});

test('the page has every figure of a run, the machine, the versions and the date', () => {
  const { page } = renderReportPage({ ...nothing, main });
  for (const text of [
    '11.0',
    '17.0',
    '53.0',
    '1234.0',
    '600',
    '1.55',
    '0.32',
    '91',
    '123',
    origin.date,
    machine.processor,
    'node v20.20.2',
  ]) {
    assert.ok(section(page, 'The whole, on one request').includes(text), text);
  }
  assert.match(page, /^\| whole pipeline: at most 2\.0 x .*1\.55 x \| +met \|$/m);
  assert.match(page, /^Not run: koa\. It is not here\.$/m);
});

test('the pictures show processor time, work and latencies, and the page embeds each of them', () => {
  const { page, charts } = renderReportPage({ ...nothing, main });
  assert.deepEqual(
    charts.map(({ file }) => file),
    ['cpu.svg', 'work.svg', 'latency.svg'],
  );
  for (const { file, svg } of charts) {
    assertWellFormed(svg);
    assert.ok(page.includes(`(charts/${file})`), file);
    assert.match(svg, />Strata, whole</);
    assert.match(svg, /<title id="title">.+<\/title>/);
    assert.match(svg, /<desc id="description">.*Strata, whole: .+<\/desc>/);
  }
  const [cpu = '', work = '', latency = ''] = charts.map(({ svg }) => svg);
  assert.match(cpu, />17\.0 \(1\.55 x bare\)</);
  assert.match(work, />58,824</);
  assert.match(latency, />0\.32</);
  assert.match(latency, />FastAPI on uvicorn, same layers<[^\n]*>saturated</);
});

test('the page has the table of the queue and its targets', () => {
  const { page } = renderReportPage({ ...nothing, jobs });
  assert.match(page, /^\| Queue pg-boss +\| +4321 \| +2\.29 \| +7\.89 \| +9\.99 \|$/m);
  assert.match(page, /20001 jobs that do nothing.*203 single jobs/);
  assert.match(page, /^\| jobs: not behind Queue pg-boss .* 2\.29 x \| +met \|$/m);
  assert.match(page, /^\| jobs: from enqueue to start, p50 under 5 ms .* 2\.34 ms \| +met \|$/m);
  const slow = { ...jobs, systems: [queue('strata', 4000, 6), queue('pg-boss', 4321, 1)] };
  assert.match(
    renderReportPage({ ...nothing, jobs: slow }).page,
    /not behind Queue pg-boss .* 0\.93 x \| +not met \|$/m,
  );
});

test('the prices of the layers have a table and a picture', () => {
  const [layer] = layerNames;
  const layers: LayerResults = {
    ...origin,
    ...{ loadGenerator: 'wrk', pinning: null, rounds: 2, seconds: 5, scenario: 'person' },
    layers: [{ layer, whole: [20, 20], without: [17.5, 17.5], none: [12, 12], only: [15.25, 15.25] }],
  };
  const { page, charts } = renderReportPage({ ...nothing, layers });
  assert.match(section(page, "Each layer's price"), /2\.50 ±0\.00 \| +12\.5 % \| +3\.25/);
  assert.deepEqual(
    charts.map(({ file }) => file),
    ['layers.svg'],
  );
  assertWellFormed(charts[0]?.svg ?? '');
});

test('the parts measured by themselves bring their tables and their targets', () => {
  const micro = {
    ...origin,
    tables: [
      { title: 'router', head: ['question', 'who', 'unit', 'median'], rows: [['5,000', 'us', 'ns', '77.7']] },
    ],
    targets: [{ promise: 'router: flat', measured: '1.02 x', verdict: 'met' as const }],
  };
  const { page } = renderReportPage({ ...nothing, micro });
  assert.match(page, /^### router\n\n\| question \|.*\n.*\n\| 5,000 +\| us +\| ns +\| +77\.7 \|$/m);
  assert.match(page, /^\| router: flat +\| +1\.02 x \| +met \|$/m);
});

test('the page names every variant and every request', () => {
  const { page } = renderReportPage(nothing);
  for (const name of [...variants.map((variant) => variant.name), ...scenarioNames]) {
    assert.match(page, new RegExp(`^\\| \`${name}\``, 'm'));
  }
});

test('the report keeps the newest results beside the page, and they alone are enough to write it again', (t) => {
  const folder = temporaryFolder(t);
  write(folder, '2026-01-30T12-00-00Z.json', { ...main, date: '2026-01-30T12:00:00.000Z', cells: [] });
  write(folder, '2026-01-31T12-00-00Z.json', main);
  write(folder, 'jobs-2026-01-31T12-00-00Z.json', jobs);
  writeReport(folder);
  const page = readFileSync(join(folder, 'README.md'), 'utf8');
  assert.match(page, /17\.0/);
  assert.match(page, /9876/);
  assert.deepEqual(readdirSync(join(folder, 'charts')).sort(), ['cpu.svg', 'latency.svg', 'work.svg']);

  for (const file of readdirSync(join(folder, 'results'))) {
    if (!file.startsWith('latest-')) rmSync(join(folder, 'results', file));
  }
  writeReport(folder);
  assert.equal(readFileSync(join(folder, 'README.md'), 'utf8'), page);
});

test('an older run on this machine does not replace newer results that were committed', (t) => {
  const folder = temporaryFolder(t);
  write(folder, 'latest-main.json', main);
  write(folder, '2026-01-30T12-00-00Z.json', { ...main, date: '2026-01-30T12:00:00.000Z' });
  writeReport(folder);
  assert.equal(readLatest(join(folder, 'results')).main?.date, main.date);
});

test('results that are broken are named', (t) => {
  const folder = temporaryFolder(t);
  write(folder, 'latest-main.json', { date: 'yesterday' });
  assert.throws(() => writeReport(folder), /latest-main\.json does not hold results of this version/);
});

test('the committed page and pictures are what the committed results make', () => {
  const bench = join(import.meta.dirname, '..', '..', 'bench');
  const { page, charts } = renderReportPage(readLatest());
  const remedy = 'run `npm run bench -- report`';
  assert.equal(readFileSync(join(bench, 'README.md'), 'utf8'), page, remedy);
  for (const { file, svg } of charts) {
    assert.equal(readFileSync(join(bench, 'charts', file), 'utf8'), svg, remedy);
  }
});

function section(page: string, title: string): string {
  return page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? '';
}

function cell(variant: string, cpuMicros: number, requestsPerSecond = 5000): Results['cells'][number] {
  const sample = {
    cpuMicros,
    requestsPerSecond,
    p50Ms: 0.32,
    p99Ms: 0.91,
    p999Ms: 1.23,
    residentMegabytes: 91,
    startMs: 123,
  };
  return { variant, scenario: 'person', samples: [sample, sample] };
}

function queue(name: string, jobsPerSecond: number, p50Ms: number): JobsResults['systems'][number] {
  const sample = { jobsPerSecond, p50Ms, p99Ms: 9.99 };
  return { name, title: `Queue ${name}`, samples: [sample, sample] };
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-report-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'results'));
  return folder;
}

function write(folder: string, name: string, content: unknown): void {
  writeFileSync(join(folder, 'results', name), JSON.stringify(content));
}
