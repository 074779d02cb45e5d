/** What the layers cost, made of the figures of a run. */

import { z } from 'zod';
import { type LayerName, layerNames } from '../src/settings/layer-names.ts';
import { renderMarkdownTable } from './markdown-table.ts';
import { loadRunSchema } from './results.ts';
import { scenarioNames } from './scenarios.ts';
import { quantile, summarise } from './statistics.ts';

/** The layers that are not taken out, and why. */
export const leftAlone: Readonly<Partial<Record<LayerName, string>>> = {
  'https-policy': 'off in all of them: it acts only behind a trusted proxy',
  authenticate:
    'on in all of them: the program has routes that are not for everybody, and does not start without',
  authorise:
    'on in all of them: the program has routes that are not for everybody, and does not start without',
};

const turnSchema = z.object({
  /** All layers; as few as there can be; all but one; as few as there can be and one. */
  kind: z.enum(['whole', 'none', 'without', 'only']),
  /** The one. */
  layer: z.enum(layerNames).optional(),
  /** Microseconds of processor time a request, one figure a round. */
  cpuMicros: z.array(z.number()),
});

export type Turn = z.output<typeof turnSchema>;

export const layerResultsSchema = loadRunSchema.extend({
  scenario: z.enum(scenarioNames),
  turns: z.array(turnSchema),
});

export type LayerResults = z.output<typeof layerResultsSchema>;

/** A difference of two measurements, in microseconds a request. */
export interface Price {
  readonly median: number;
  /** The range of the middle half of the rounds; undefined for a single round. */
  readonly range: number | undefined;
  /** Whether the rounds disagree by more than the price itself, or there is one only. */
  readonly uncertain: boolean;
}

export interface LayerPrice {
  readonly layer: LayerName;
  /** What is saved where it alone is taken out. */
  readonly out: Price;
  /** What is added where it alone is put in. */
  readonly alone: Price;
  /** The median of `out` as a share of the whole. */
  readonly share: number;
}

/** The price of each layer that was taken out, in the order of the pipeline. */
export function layerPrices(results: LayerResults): LayerPrice[] {
  const whole = figuresOf(results, 'whole');
  const none = figuresOf(results, 'none');
  const taken = results.turns.flatMap(({ kind, layer }) => (kind === 'without' && layer ? [layer] : []));
  return taken.map((layer) => {
    const out = subtract(whole, figuresOf(results, 'without', layer));
    const alone = subtract(figuresOf(results, 'only', layer), none);
    return { layer, out, alone, share: out.median / summarise(whole).median };
  });
}

/** The one figure minus the other, round by round: both have seen about the same machine. */
export function subtract(figures: readonly number[], others: readonly number[]): Price {
  const sorted = figures
    .map((figure, round) => figure - (others[round] ?? Number.NaN))
    .toSorted((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  const range = sorted.length < 2 ? undefined : quantile(sorted, 0.75) - quantile(sorted, 0.25);
  return { median, range, uncertain: range === undefined || range > Math.abs(median) };
}

/** The table, and under it what it is made of. */
export function renderLayers(results: LayerResults): string {
  const whole = summarise(figuresOf(results, 'whole')).median;
  const none = summarise(figuresOf(results, 'none')).median;
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
    `The whole: ${whole.toFixed(1)} µs of processor time a request; with none of these layers: ${none.toFixed(1)} µs.`,
    'A price is the median of the differences of each round, ± half the range of their middle half.',
    ...reasons,
  ].join('\n');
}

function describePrice({ median, range, uncertain }: Price): string {
  if (range === undefined) return 'too uncertain (one round)';
  const deviation = `±${(range / 2).toFixed(2)}`;
  return uncertain ? `too uncertain (${deviation})` : `${median.toFixed(2)} ${deviation}`;
}

function figuresOf({ turns }: LayerResults, kind: Turn['kind'], layer?: LayerName): number[] {
  return turns.find((turn) => turn.kind === kind && turn.layer === layer)?.cpuMicros ?? [];
}
