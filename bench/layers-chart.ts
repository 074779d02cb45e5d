/** The prices of the layers as bars, in an SVG that can be read on light and on dark paper. */

import { type LayerResults, layerPrices, type Price } from './layer-prices.ts';

const left = 150;
const barsWidth = 440;
const width = left + barsWidth + 130;
const top = 64;
const rowHeight = 38;
const barHeight = 14;

/** Two bars a layer: taken out of the whole, and put alone in. A price that is too uncertain has no bar. */
export function renderLayersChart(results: LayerResults): string {
  const prices = layerPrices(results);
  const certain = prices.flatMap(({ out, alone }) => [out, alone]).filter(({ uncertain }) => !uncertain);
  const longest = Math.max(1, ...certain.map(({ median }) => median));
  const height = top + prices.length * rowHeight + 10;

  const bar = (price: Price, kind: 'out' | 'alone', y: number): string => {
    const length = price.uncertain ? 0 : Math.max(0, (price.median / longest) * barsWidth);
    const text = price.uncertain ? 'too uncertain' : price.median.toFixed(2);
    return [
      `<rect class="${kind}" x="${left}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}"/>`,
      `<text class="figure" x="${(left + length + 6).toFixed(1)}" y="${y + 11}">${text}</text>`,
    ].join('\n');
  };
  const rows = prices.map(({ layer, out, alone }, index) => {
    const y = top + index * rowHeight;
    return [
      `<text x="${left - 8}" y="${y + 19}" text-anchor="end">${layer}</text>`,
      bar(out, 'out', y),
      bar(alone, 'alone', y + barHeight + 2),
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="What each layer costs, in microseconds a request">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.figure { font-size: 11px; }
.title { font-size: 15px; font-weight: 600; }
.out { fill: #2563b0; }
.alone { fill: #8fb4dc; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .out { fill: #5b9be6; }
  .alone { fill: #365f8f; }
}
</style>
<text class="title" x="8" y="20">What each layer costs: µs of processor time a request</text>
<rect class="out" x="${left}" y="34" width="14" height="14"/>
<text x="${left + 20}" y="46">taken out of the whole</text>
<rect class="alone" x="${left + 190}" y="34" width="14" height="14"/>
<text x="${left + 210}" y="46">put alone in</text>
${rows.join('\n')}
</svg>
`;
}
