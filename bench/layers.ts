/**
 * `npm run bench -- layers` measures the cost of each layer. For each layer four servers of the variant `strata` are busy at the same
 * time (`measureTogether`), round after round:
 *
 *     whole    without A    |    none    only A          none: as few layers as it runs with
 *
 * `whole - without A` is what A costs where the others are, `only A - none` what it costs by itself; the first is less
 * where A shares its work with others. Differences are made round by round. They are small beside what they are made of,
 * so a cost that the rounds cannot distinguish from zero is not printed.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layerNames } from '../src/settings/layer-names.ts';
import { type LayerFigures, type LayerResults, leftAlone, renderLayers } from './layer-prices.ts';
import { renderLayersChart } from './layers-chart.ts';
import { findLoadGenerator } from './load.ts';
import { measureTogether, secondsOfTurn } from './measure.ts';
import type { Options } from './options.ts';
import { pinProcesses } from './pinning.ts';
import { describeMachine, describeVersions, writeResults } from './results.ts';
import { principal } from './scenarios.ts';
import { ours, principalCell } from './variants.ts';

/** Where the chart goes, for the report to show. */
export const layersChart = join(import.meta.dirname, 'charts', 'layers.svg');

/** Of each round that `--rounds` asks for, so many are made: what one layer costs is less than what two rounds differ by. */
const turnsInRound = 4;

/** Measures, prints the table, and writes the figures and the chart. Throws a StartError if requests fail. */
export async function benchLayers(wanted: Options, signal: AbortSignal): Promise<void> {
  const machine = describeMachine();
  const date = new Date().toISOString();
  const pinning = pinProcesses();
  const load = findLoadGenerator();
  const rounds = wanted.rounds * turnsInRound;
  const { warmUpSeconds } = wanted;
  const options = { pinning, databaseUrl: undefined, signal, load, seconds: secondsOfTurn, warmUpSeconds };
  const cell = principalCell(ours);

  const removable = layerNames.filter((name) => leftAlone[name] === undefined);
  const layers: LayerFigures[] = [];
  for (const [index, layer] of removable.entries()) {
    console.error(`bench: ${layer}: layer ${index + 1} of ${removable.length}`);
    const disabled = [[], [layer], removable, removable.filter((other) => other !== layer)];
    const together = disabled.map((names) => ({
      ...cell,
      environment: { BENCH_DISABLED_LAYERS: names.join(',') },
    }));
    const turns = await measureTogether(together, rounds, options);
    const microsOf = (server: number) => turns.map((turn) => turn[server]?.cpuMicros ?? Number.NaN);
    const [whole, without, none, only] = [microsOf(0), microsOf(1), microsOf(2), microsOf(3)];
    layers.push({ layer, whole, without, none, only });
  }
  const results: LayerResults = {
    ...{ date, machine, versions: describeVersions(), loadGenerator: load.name, pinning: pinning ?? null },
    ...{ rounds, seconds: secondsOfTurn, scenario: principal, layers },
  };
  console.log(`\n${renderLayers(results)}\n`);
  mkdirSync(join(layersChart, '..'), { recursive: true });
  writeFileSync(layersChart, renderLayersChart(results));
  console.error(`bench: written to ${writeResults(results, 'layers')} and ${layersChart}`);
}
