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
  layers: [
    { layer: 'cors', whole: [40, 80, 40], without: [38, 78, 38], none: [20, 40, 20], only: [23, 43, 23] },
    { layer: 'etag', whole: [40, 80, 40], without: [41, 70, 39], none: [20, 40, 20], only: [19, 50, 21] },
  ],
};

test('the cost of a layer is measured in each round, by removing it from the whole pipeline and by adding it to an empty one', () => {
  const [cors] = layerPrices(results);
  assert.deepEqual(cors, {
    layer: 'cors',
    out: { median: 2, deviation: 0, uncertain: false },
    alone: { median: 3, deviation: 0, uncertain: false },
    share: 0.05,
  });
});

test('a cost is uncertain if the rounds cannot distinguish it from zero, or if there is only one round', () => {
  assert.equal(subtract([11, 12, 13], [10, 10, 10]).uncertain, false);
  assert.equal(subtract([11, 10, 9], [10, 10, 10]).uncertain, true);
  assert.equal(subtract([9, 30], [10, 10]).uncertain, true);
  assert.equal(subtract([20], [10]).uncertain, true);
});

test('more rounds of the same make a price more certain', () => {
  const rounds = [10, 11, 14, 15];
  const zeros = rounds.map(() => 8);
  const few = subtract(rounds, zeros);
  const many = subtract(Array(16).fill(rounds).flat(), Array(16).fill(zeros).flat());
  assert.equal(few.median, many.median);
  assert.ok((many.deviation ?? 0) < (few.deviation ?? 0) / 3);
});

test('the table prints certain costs with their deviation, and marks the others as too uncertain', () => {
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
  const layers = results.layers.map(({ layer, whole, without, none, only }) => {
    const first = (figures: readonly number[]) => figures.slice(0, 1);
    return { layer, whole: first(whole), without: first(without), none: first(none), only: first(only) };
  });
  return { ...results, rounds: 1, layers };
}
