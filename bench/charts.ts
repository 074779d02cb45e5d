/** The pictures of the report. */

import { renderBarChart } from './bar-chart.ts';
import { figureOf, isSaturated, ratioOf } from './figures.ts';
import type { LayerResults } from './layer-prices.ts';
import { renderLayersChart } from './layers-chart.ts';
import type { CellResult, Results } from './results.ts';
import { principal } from './scenarios.ts';
import { doubt } from './statistics.ts';
import { floor, variants } from './variants.ts';

export interface Chart {
  /** Its name below `bench/charts/`. */
  readonly file: string;
  /** Its content in one sentence. */
  readonly alt: string;
  readonly svg: string;
}

/** Processor time, work and latency of each variant in the principal scenario; none where that was not measured. */
export function drawMain({ cells, rate }: Results): Chart[] {
  const main = cells.filter(({ scenario }) => scenario === principal);
  if (main.length === 0) return [];
  const reference = main.find(({ variant }) => variant === floor);
  const micros = main.map((cell) => figureOf(cell, 'cpuMicros').median);
  return [
    draw('cpu.svg', 'Processor time a request', {
      unit: 'CPU µs a request, median; less is better',
      rows: main.map((cell, index) => ({
        label: titleOf(cell),
        values: micros.slice(index, index + 1),
        ...describeRatio(cell, reference),
      })),
    }),
    draw('work.svg', 'Requests of one processor second', {
      unit: 'requests a CPU second, median; more is better',
      rows: main.map((cell, index) => ({
        label: titleOf(cell),
        values: micros.slice(index, index + 1).map((each) => 1e6 / each),
      })),
    }),
    draw('latency.svg', `Latency at ${rate} requests a second`, {
      unit: 'ms, median of the rounds; less is better',
      series: ['p50', 'p99', 'p99.9'],
      rows: main.map((cell) =>
        isSaturated(cell, rate)
          ? { label: titleOf(cell), values: [], remark: 'saturated' }
          : {
              label: titleOf(cell),
              values: (['p50Ms', 'p99Ms', 'p999Ms'] as const).map((figure) => figureOf(cell, figure).median),
            },
      ),
    }),
  ];
}

/** The prices of the layers. */
export function drawLayers(results: LayerResults): Chart {
  return {
    file: 'layers.svg',
    alt: 'The cost of each layer as bars. The table has the figures.',
    svg: renderLayersChart(results),
  };
}

function draw(
  file: string,
  title: string,
  chart: Omit<Parameters<typeof renderBarChart>[0], 'title' | 'description'>,
): Chart {
  const alt = `${title}, as bars. The table has the figures.`;
  const { unit, series, rows } = chart;
  const described = rows.map(({ label, values, remark }) => {
    const texts = values.map((value, index) => [series?.[index], value.toFixed(2)].filter(Boolean).join(' '));
    return `${label}: ${[...texts, ...(remark === undefined ? [] : [remark])].join(', ')}`;
  });
  const description = `${unit}. ${described.join('; ')}.`;
  return { file, alt, svg: renderBarChart({ ...chart, title, description }) };
}

function describeRatio(cell: CellResult, reference: CellResult | undefined): { remark?: string } {
  if (reference === undefined || reference === cell) return {};
  const ratio = ratioOf(cell, reference, 'cpuMicros');
  return { remark: `(${doubt(ratio) ?? `${ratio.median.toFixed(2)} x ${floor}`})` };
}

function titleOf({ variant }: CellResult): string {
  return variants.find(({ name }) => name === variant)?.title ?? variant;
}
