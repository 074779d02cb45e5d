/**
 * What each layer costs: `npm run bench -- layers`. The program of the variant `strata` is measured with all its layers
 * and with as few as it runs with, and for each layer twice more:
 *
 *     round 1:  whole  none  without A  only A  without B  only B ...      a new server process each
 *     round 2:  whole  none  ...
 *
 * `whole - without A` is what A costs where the others are, `only A - none` what it costs by itself; the first is less
 * where A shares its work with others. Differences are made round by round. They are small beside what they are made
 * of, so one whose rounds disagree by more than itself is not printed.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartError } from '../src/errors.ts';
import { type LayerName, layerNames } from '../src/settings/layer-names.ts';
import { type LayerResults, leftAlone, renderLayers, type Turn } from './layer-prices.ts';
import { renderLayersChart } from './layers-chart.ts';
import { findLoadGenerator } from './load.ts';
import { measureBusy } from './measure.ts';
import type { Options } from './options.ts';
import { pinProcesses } from './pinning.ts';
import { describeMachine, describeVersions, writeResults } from './results.ts';
import { findScenario, principal } from './scenarios.ts';
import { ours, variants } from './variants.ts';

/** Where the chart goes, for the report to show. */
export const layersChart = join(import.meta.dirname, 'charts', 'layers.svg');

/** Measures, prints the table, and writes the figures and the chart. Throws a StartError if requests fail. */
export async function benchLayers(options: Options, signal: AbortSignal): Promise<void> {
  const machine = describeMachine();
  const date = new Date().toISOString();
  const pinning = pinProcesses();
  const load = findLoadGenerator();
  const { rounds, seconds, warmUpSeconds } = options;
  const scenario = findScenario(principal);
  const variant = variants.find(({ name }) => name === ours);
  if (variant === undefined) throw new StartError(`There is no variant "${ours}" to take layers out of.`);

  const removable = layerNames.filter((name) => leftAlone[name] === undefined);
  const turns = planTurns(removable);
  const figures: Turn[] = turns.map(({ kind, layer }) => ({ kind, layer, cpuMicros: [] }));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [index, { kind, layer, disabled }] of turns.entries()) {
      const sample = await measureBusy(
        { variant, scenario },
        {
          ...{ pinning, databaseUrl: undefined, signal, load, seconds, warmUpSeconds },
          environment: { BENCH_DISABLED_LAYERS: disabled.join(',') },
        },
      );
      figures[index]?.cpuMicros.push(sample.cpuMicros);
      const name = layer === undefined ? kind : `${kind} ${layer}`;
      console.error(
        `bench: round ${round} of ${rounds}: ${name}: ${sample.cpuMicros.toFixed(1)} µs a request`,
      );
    }
  }
  const results: LayerResults = {
    ...{ date, machine, versions: describeVersions(), loadGenerator: load.name, pinning: pinning ?? null },
    ...{ rounds, seconds, scenario: principal, turns: figures },
  };
  console.log(`\n${renderLayers(results)}\n`);
  mkdirSync(join(layersChart, '..'), { recursive: true });
  writeFileSync(layersChart, renderLayersChart(results));
  console.error(`bench: written to ${writeResults(results, 'layers')} and ${layersChart}`);
}

interface PlannedTurn extends Omit<Turn, 'cpuMicros'> {
  readonly disabled: readonly LayerName[];
}

/** What is measured in a round, in its order. */
function planTurns(removable: readonly LayerName[]): PlannedTurn[] {
  return [
    { kind: 'whole', disabled: [] },
    { kind: 'none', disabled: removable },
    ...removable.flatMap((layer): PlannedTurn[] => [
      { kind: 'without', layer, disabled: [layer] },
      { kind: 'only', layer, disabled: removable.filter((other) => other !== layer) },
    ]),
  ];
}
