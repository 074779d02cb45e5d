import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadGenerator, LoadOptions } from '../../bench/load.ts';
import { type MeasureOptions, measure, measureBusy } from '../../bench/measure.ts';
import { findScenario } from '../../bench/scenarios.ts';
import { variants } from '../../bench/variants.ts';
import { StartError } from '../../src/errors.ts';

const [bare] = variants;
assert.ok(bare);
const plain = findScenario('plain');

test('a round is a warm-up, the busy load and the fixed rate, on one new server', async () => {
  const runs: LoadOptions[] = [];
  const options = { ...withLoad(0, runs), seconds: 2, warmUpSeconds: 1 };
  const sample = await measure({ variant: bare, scenario: plain }, options);
  assert.deepEqual(
    runs.map(({ seconds, scenario }) => [seconds, scenario.name]),
    [
      [1, 'plain'],
      [2, 'plain'],
    ],
  );
  assert.equal(new Set(runs.map(({ url }) => url)).size, 1);
  assert.ok(sample.startMs > 0 && sample.residentMegabytes > 10);
  assert.ok(sample.p50Ms > 0 && sample.p50Ms <= sample.p99Ms && sample.p99Ms <= sample.p999Ms);
  await assert.rejects(fetch(runs[0]?.url ?? ''), 'the server is gone');
});

test('each worker of a variant gets the warm-up that a process alone gets', async () => {
  const runs: LoadOptions[] = [];
  const variant = { ...bare, workers: 2 };
  await measureBusy({ variant, scenario: plain }, { ...withLoad(0, runs), warmUpSeconds: 3 });
  assert.deepEqual(
    runs.map(({ seconds }) => seconds),
    [6, 1],
  );
});

test('requests that fail under load are no measurement, and the server is stopped all the same', async () => {
  const runs: LoadOptions[] = [];
  await assert.rejects(
    measureBusy({ variant: bare, scenario: plain }, withLoad(1, runs)),
    (error) =>
      error instanceof StartError && /^1 requests of "plain" to "bare" failed under load/.test(error.message),
  );
  await assert.rejects(fetch(runs[0]?.url ?? ''));
});

test('answers that are wrong at the fixed rate are found there too', async () => {
  const cell = { variant: bare, scenario: { ...plain, status: 204 } };
  await assert.rejects(measure(cell, withLoad(0)), /^StartError: 50 requests of "plain" to "bare" failed/);
});

test('where the limit is what is measured, it may let through what it promises, and no more', async () => {
  const cell = { variant: bare, scenario: { ...plain, limit: 1 } };
  assert.ok(await measureBusy(cell, withLoad(2)));
  await assert.rejects(measureBusy(cell, withLoad(3)), /^StartError: 3 requests/);
});

/** A load generator that asks once, and claims that so many requests have failed. */
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
