import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LayerResults, layerPrices, renderLayers, subtract } from '../../bench/layer-prices.ts';
import { renderLayersChart } from '../../bench/layers-chart.ts';

const results: LayerResults = {
  date: '2026-01-31T12:00:00.000Z',
  machine: { processor: 'any', processors: 2, memoryBytes: 1, system: 'any', loadBefore: 0 },
  versions: {},
  loadGenerator: 'wrk',
  pinning: null,
  rounds: 3,
  seconds: 5,
  scenario: 'person',
  turns: [
    { kind: 'whole', cpuMicros: [40, 80, 40] },
    { kind: 'none', cpuMicros: [20, 40, 20] },
    { kind: 'without', layer: 'cors', cpuMicros: [38, 78, 38] },
    { kind: 'only', layer: 'cors', cpuMicros: [23, 43, 23] },
    { kind: 'without', layer: 'etag', cpuMicros: [41, 70, 39] },
    { kind: 'only', layer: 'etag', cpuMicros: [19, 50, 21] },
  ],
};

test('the price of a layer is the whole without it, and it alone above nothing, round by round', () => {
  const [cors] = layerPrices(results);
  assert.deepEqual(cors, {
    layer: 'cors',
    out: { median: 2, range: 0, uncertain: false },
    alone: { median: 3, range: 0, uncertain: false },
    share: 0.05,
  });
});

test('a price is uncertain when the rounds disagree by more than the price, or there is one only', () => {
  assert.equal(subtract([11, 12, 13], [10, 10, 10]).uncertain, false);
  assert.equal(subtract([11, 10, 9], [10, 10, 10]).uncertain, true);
  assert.equal(subtract([9, 30], [10, 10]).uncertain, true);
  assert.equal(subtract([20], [10]).uncertain, true);
});

test('the table prints certain prices with their deviation, and says of the others that they are too uncertain', () => {
  const table = renderLayers(results);
  assert.match(table, /^\| cors +\| +2\.00 ±0\.00 \| +5\.0 % \| +3\.00 ±0\.00 \|$/m);
  assert.match(table, /^\| etag +\| too uncertain \(±[\d.]+\) \| +\| too uncertain \(±[\d.]+\) \|$/m);
  assert.match(renderLayers(inOneRound()), /^\| cors +\| too uncertain \(one round\) \| +\|/m);
});

test('the table names the layers that cannot be taken out, with the reason', () => {
  assert.match(renderLayers(results), /^Not taken out: authenticate, on in all of them/m);
});

test('the chart has two bars a layer, as long as their price; none where it is too uncertain', () => {
  const chart = renderLayersChart(results);
  const lengthsOf = (kind: string) =>
    [...chart.matchAll(new RegExp(`<rect class="${kind}" [^>]*width="([\\d.]+)" height="14"/>`, 'g'))]
      .slice(1)
      .map(([, width]) => Number(width));
  const [out, alone] = [lengthsOf('out'), lengthsOf('alone')];
  assert.equal(out.length, 2);
  assert.equal(Math.round(((alone[0] ?? 0) / (out[0] ?? 0)) * 10), 15);
  assert.equal(out[1], 0);
  assert.equal(chart.match(/too uncertain/g)?.length, 2);
  assert.match(chart, /prefers-color-scheme: dark/);
});

function inOneRound(): LayerResults {
  const turns = results.turns.map((turn) => ({ ...turn, cpuMicros: turn.cpuMicros.slice(0, 1) }));
  return { ...results, rounds: 1, turns };
}
