import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadGenerator, LoadOptions } from '../../bench/load.ts';
import { type MeasureOptions, measureRound } from '../../bench/measure.ts';
import type { Sample } from '../../bench/results.ts';
import { findScenario } from '../../bench/scenarios.ts';
import { type Cell, type Variant, variants } from '../../bench/variants.ts';
import { StartError } from '../../src/errors.ts';

const [bare] = variants;
assert.ok(bare);
const plain = findScenario('plain');

test('a round is a warm-up in turns, turns of a second with one before it, and the fixed rate, on new servers', async () => {
  const runs: LoadOptions[] = [];
  const cells = [plainOf(bare), plainOf(bare)];
  const found = await measureRound(cells, { ...withLoad(0, runs), seconds: 2, warmUpSeconds: 3 });
  const [first, second] = [...new Set(runs.map(({ url }) => url))];
  assert.deepEqual(
    runs.map(({ url, seconds, scenario }) => [url, seconds, scenario.name]),
    [
      [first, 2, 'plain'],
      [second, 2, 'plain'],
      [first, 1, 'plain'],
      [second, 1, 'plain'],
      ...[first, first, second, second].map((url) => [url, 1, 'plain']),
      ...[second, second, first, first].map((url) => [url, 1, 'plain']),
    ],
  );
  assert.deepEqual([...found.keys()], cells);
  for (const sample of found.values()) {
    assert.ok(!(sample instanceof StartError));
    assert.ok(sample.startMs > 0 && sample.residentMegabytes > 10);
    assert.ok(sample.p50Ms > 0 && sample.p50Ms <= sample.p99Ms && sample.p99Ms <= sample.p999Ms);
  }
  for (const url of [first, second]) await assert.rejects(fetch(url ?? ''), 'the server is gone');
});

test('the throughput of a round is that of its turns together, by their requests and their time', async () => {
  // The warm-up, and a turn that is not counted before each that is.
  const answered = [1000, 1000, 10, 1000, 30];
  const { load, ...options } = withLoad(0);
  const uneven: LoadGenerator = {
    ...load,
    run: async (given) => ({ ...(await load.run(given)), requests: answered.shift() ?? 0, seconds: 2 }),
  };
  const sample = await mustMeasure(plainOf(bare), { ...options, load: uneven, seconds: 2 });
  assert.equal(sample.requestsPerSecond, 10);
});

test('each worker of a variant gets the warm-up that a process alone gets', async () => {
  const runs: LoadOptions[] = [];
  await mustMeasure(plainOf({ ...bare, workers: 2 }), { ...withLoad(0, runs), warmUpSeconds: 3 });
  assert.deepEqual(
    runs.map(({ seconds }) => seconds),
    [4, 2, 1, 1],
  );
});

test('a cell whose requests fail under load has no result; its server is stopped, and the other cells are measured', async () => {
  const runs: LoadOptions[] = [];
  const [good, bad] = [plainOf(bare), { variant: bare, scenario: { ...plain, path: '/api/v1/fails' } }];
  const { load, ...options } = withLoad(0, runs);
  const failing: LoadGenerator = {
    ...load,
    run: async (given) => ({ ...(await load.run(given)), failures: given.scenario === plain ? 0 : 1 }),
  };
  const found = await measureRound([bad, good], { ...options, load: failing });
  assert.match(String(found.get(bad)), /^StartError: 1 requests of "plain" to "bare" failed under load/);
  assert.ok(!(found.get(good) instanceof StartError));
  await assert.rejects(fetch(runs[0]?.url ?? ''));
});

test('answers that are wrong at the fixed rate are found there too', async () => {
  const cell = { variant: bare, scenario: { ...plain, status: 204 } };
  const found = await measureRound([cell], withLoad(0));
  assert.match(String(found.get(cell)), /^StartError: 50 requests of "plain" to "bare" failed/);
});

test('a measurement that is interrupted rejects and stops its servers', async () => {
  const runs: LoadOptions[] = [];
  const interrupted = new AbortController();
  const { load, ...options } = withLoad(0, runs);
  const interrupting: LoadGenerator = {
    ...load,
    run: async (given) => {
      const result = await load.run(given);
      interrupted.abort(new StartError('Enough.'));
      given.signal.throwIfAborted();
      return result;
    },
  };
  await assert.rejects(
    measureRound([plainOf(bare), plainOf(bare)], {
      ...options,
      load: interrupting,
      signal: interrupted.signal,
    }),
    /^StartError: Enough\.$/,
  );
  assert.equal(runs.length, 1);
  await assert.rejects(fetch(runs[0]?.url ?? ''));
});

test('a measured limit may let through exactly what it promises', async () => {
  const cell = { variant: bare, scenario: { ...plain, limit: 1 } };
  const most = await measureRound([cell], withLoad(2));
  assert.doesNotMatch(String(most.get(cell)), /failed under load/);
  const more = await measureRound([cell], withLoad(3));
  assert.match(String(more.get(cell)), /^StartError: 3 requests/);
});

function plainOf(variant: Variant): Cell {
  return { variant, scenario: plain };
}

async function mustMeasure(cell: Cell, options: MeasureOptions): Promise<Sample> {
  const sample = (await measureRound([cell], options)).get(cell);
  if (sample === undefined || sample instanceof StartError) throw new Error(`No sample: ${sample}`);
  return sample;
}

function withLoad(failures: number, runs: LoadOptions[] = []): MeasureOptions {
  const load: LoadGenerator = {
    name: 'autocannon',
    run: async (options) => {
      runs.push(options);
      const response = await fetch(`${options.url}${options.scenario.path}`);
      return { requests: (await response.text()).length, seconds: 1, failures };
    },
  };
  const { signal } = new AbortController();
  return {
    ...{ pinning: undefined, databaseUrl: undefined, signal, load },
    ...{ seconds: 1, warmUpSeconds: 1, rate: 50 },
  };
}
