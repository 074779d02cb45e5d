/**
 * Horizontal bars as SVG, without a library. The picture brings its own background, dark where the reader prefers that,
 * so that it can be read on any page; each value is written out, and a screen reader is given title and description.
 */

export interface BarChart {
  readonly title: string;
  /** The whole content in words. */
  readonly description: string;
  readonly unit: string;
  /** The names of the bars of a row, where a row has several. */
  readonly series?: readonly string[] | undefined;
  readonly rows: readonly BarRow[];
}

export interface BarRow {
  readonly label: string;
  /** One for each series. A negative one has no bar, but its value is written. */
  readonly values: readonly number[];
  /** Written behind the last value, or alone where there is none. */
  readonly remark?: string | undefined;
}

const width = 860;
const labelWidth = 270;
const valueWidth = 190;
const plotWidth = width - labelWidth - valueWidth;
const top = 56;
const bottom = 40;
const barHeight = 16;
const rowGap = 10;
const colours = ['#2f6fbd', '#c2601a', '#8a4fb5'];

const style = `
    .page { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 }
    .grid { stroke: #d1d9e0 } .tick { text-anchor: middle } .label { text-anchor: end }
    @media (prefers-color-scheme: dark) { .page { fill: #0d1117 } text { fill: #f0f6fc } .grid { stroke: #3d444d } }
  `;

/** Draws the chart: an SVG document. */
export function renderBarChart({ title, description, unit, series = [], rows }: BarChart): string {
  const heights = rows.map(({ values }) => Math.max(1, values.length) * barHeight + rowGap);
  const plotHeight = heights.reduce((sum, height) => sum + height, 0);
  const height = top + plotHeight + bottom;
  const ticks = chooseTicks(Math.max(0, ...rows.flatMap(({ values }) => values)));
  const scale = plotWidth / (ticks.at(-1) ?? 1);
  let y = top + rowGap / 2;
  const drawn = rows.map((row, index) => {
    const text = drawRow(row, y, scale);
    y += heights[index] ?? 0;
    return text;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
  <title id="title">${escapeXml(title)}</title>
  <desc id="description">${escapeXml(description)}</desc>
  <style>${style}</style>
  <rect class="page" width="${width}" height="${height}"/>
  <text class="title" x="12" y="24">${escapeXml(title)}</text>
  ${drawLegend(series)}
  ${ticks.map((tick) => drawTick(tick, scale, plotHeight)).join('\n  ')}
  <text class="tick" x="${labelWidth + plotWidth / 2}" y="${height - 4}">${escapeXml(unit)}</text>
  ${drawn.join('\n  ')}
</svg>
`;
}

function drawRow({ label, values, remark }: BarRow, y: number, scale: number): string {
  const middle = y + (Math.max(1, values.length) * barHeight) / 2 + 4;
  const bars = values.map((value, index) => {
    const own = y + index * barHeight;
    const length = Math.max(0, value) * scale;
    const behind = index === values.length - 1 && remark !== undefined ? ` ${remark}` : '';
    return [
      `<rect x="${labelWidth}" y="${own.toFixed(1)}" width="${length.toFixed(1)}" height="${barHeight - 2}" fill="${colours[index % colours.length]}"/>`,
      `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${(own + 12).toFixed(1)}">${escapeXml(formatValue(value) + behind)}</text>`,
    ].join('');
  });
  const alone =
    values.length === 0 && remark !== undefined
      ? `<text x="${labelWidth + 6}" y="${middle}">${escapeXml(remark)}</text>`
      : '';
  return `<text class="label" x="${labelWidth - 8}" y="${middle}">${escapeXml(label)}</text>${bars.join('')}${alone}`;
}

function drawLegend(series: readonly string[]): string {
  return series
    .map((name, index) => {
      const x = labelWidth + index * 90;
      return `<rect x="${x}" y="34" width="12" height="12" fill="${colours[index % colours.length]}"/><text x="${x + 18}" y="45">${escapeXml(name)}</text>`;
    })
    .join('');
}

function drawTick(value: number, scale: number, plotHeight: number): string {
  const x = (labelWidth + value * scale).toFixed(1);
  return `<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${top + plotHeight}"/><text class="tick" x="${x}" y="${top + plotHeight + 18}">${escapeXml(value.toLocaleString('en'))}</text>`;
}

/** From 0 in four to eight steps of 1, 2 or 5 times a power of ten, to the first step that is not below the maximum. */
export function chooseTicks(max: number): number[] {
  if (max < 1e-6) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(max / 4));
  const step = ([5, 2, 1].find((factor) => factor * power * 4 <= max) ?? 1) * power;
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
}

/** Three significant digits, and at most two decimals. */
export function formatValue(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
