/** Figures of a run, and their ratios: what the tables, the targets and the charts are made of. */

import type { CellResult, Sample } from './results.ts';
import type { ScenarioName } from './scenarios.ts';
import { type Summary, summarise, summariseRatio } from './statistics.ts';

export type Figure = keyof Sample;

export function findCell(
  cells: readonly CellResult[],
  variant: string,
  scenario: ScenarioName,
): CellResult | undefined {
  return cells.find((cell) => cell.variant === variant && cell.scenario === scenario);
}

export function figureOf({ samples }: CellResult, figure: Figure): Summary {
  return summarise(samples.map((sample) => sample[figure]));
}

/** How many times the figure of the reference it is, round by round. */
export function ratioOf(cell: CellResult, reference: CellResult, figure: Figure): Summary {
  const [own, others] = [cell, reference].map(({ samples }) => samples.map((sample) => sample[figure]));
  return summariseRatio(own ?? [], others ?? []);
}

/** A server this busy has a queue that grows by chance alone. */
const busiest = 0.8;

/** Whether the rate was too high for the latencies to mean anything. */
export function isSaturated(cell: CellResult, rate: number): boolean {
  return rate > busiest * figureOf(cell, 'requestsPerSecond').median;
}
