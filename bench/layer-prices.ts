/** The cost of each layer, computed from the figures of a run. */

import * as z from 'zod';
import { type LayerName, layerNames } from '../src/settings/layer-names.ts';
import { renderMarkdownTable } from './markdown-table.ts';
import { loadRunSchema } from './results.ts';
import { scenarioNames } from './scenarios.ts';
import { quantile, summarise } from './statistics.ts';

/** The layers that are not taken out, and why. */
export const leftAlone: Readonly<Partial<Record<LayerName, string>>> = {
  'https-policy': 'off in all of them: it acts only behind a trusted proxy',
  authenticate:
    'on in all of them: the program has routes that require a caller, and does not start without it',
  authorise: 'on in all of them: the program has routes that require a caller, and does not start without it',
  'recheck-authority':
    'on in all of them: the program has routes that require a caller, and does not start without it',
};

/** Microseconds of processor time a request, one figure a round, of servers that were busy at the same time. */
const micros = z.array(z.number());

const layerFiguresSchema = z.object({
  layer: z.enum(layerNames),
  /** All layers; all but this one; as few as there can be; as few as there can be and this one. */
  whole: micros,
  without: micros,
  none: micros,
  only: micros,
});

export type LayerFigures = z.output<typeof layerFiguresSchema>;

export const layerResultsSchema = loadRunSchema.extend({
  scenario: z.enum(scenarioNames),
  layers: z.array(layerFiguresSchema),
});

export type LayerResults = z.output<typeof layerResultsSchema>;

/** A difference of two measurements, in microseconds a request. */
export interface Price {
  readonly median: number;
  /** How far the median may be off, with a probability of 95 %; undefined for a single round. */
  readonly deviation: number | undefined;
  /** Whether that is as far as nothing, or there is one round only. */
  readonly uncertain: boolean;
}

export interface LayerPrice {
  readonly layer: LayerName;
  /** The time saved if only this layer is removed. */
  readonly out: Price;
  /** The time added if only this layer is present. */
  readonly alone: Price;
  /** The median of `out` as a share of the whole. */
  readonly share: number;
}

/** The price of each layer that was taken out, in the order of the pipeline. */
export function layerPrices({ layers }: LayerResults): LayerPrice[] {
  return layers.map(({ layer, whole, without, none, only }) => {
    const out = subtract(whole, without);
    const alone = subtract(only, none);
    return { layer, out, alone, share: out.median / summarise(whole).median };
  });
}

/** Half the interval around a median of n values is so many times their inner range over √n (McGill et al., 1978). */
const notch = 1.57;

/** The one figure minus the other, round by round: both have seen the same machine. */
export function subtract(figures: readonly number[], others: readonly number[]): Price {
  const sorted = figures
    .map((figure, round) => figure - (others[round] ?? Number.NaN))
    .toSorted((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  if (sorted.length < 2) return { median, deviation: undefined, uncertain: true };
  const deviation = (notch * (quantile(sorted, 0.75) - quantile(sorted, 0.25))) / Math.sqrt(sorted.length);
  return { median, deviation, uncertain: deviation >= Math.abs(median) };
}

/** The table, and under it what it is made of. */
export function renderLayers(results: LayerResults): string {
  const medianOf = (kind: 'whole' | 'none') =>
    summarise(results.layers.flatMap((figures) => figures[kind])).median.toFixed(1);
  const head = ['layer', 'µs when taken out', '% of the whole', 'µs when put alone in'];
  const rows = layerPrices(results).map(({ layer, out, alone, share }) => [
    layer,
    describePrice(out),
    out.uncertain ? '' : `${(share * 100).toFixed(1)} %`,
    describePrice(alone),
  ]);
  const reasons = Object.entries(leftAlone).map(([layer, reason]) => `Not taken out: ${layer}, ${reason}.`);
  return [
    renderMarkdownTable(head, rows),
    '',
    `The whole: ${medianOf('whole')} µs of processor time a request; with none of these layers: ${medianOf('none')} µs. Four servers shared the processor and its caches, so each request costs more here than on a server that runs alone.`,
    'A price is the median of the differences of each round, ± half its interval of 95 %; one that may as well be nothing is too uncertain. One in twenty is outside of its interval by chance, as are those below nothing.',
    ...reasons,
  ].join('\n');
}

function describePrice({ median, deviation, uncertain }: Price): string {
  if (deviation === undefined) return 'too uncertain (one round)';
  const margin = `±${deviation.toFixed(2)}`;
  return uncertain ? `too uncertain (${margin})` : `${median.toFixed(2)} ${margin}`;
}
