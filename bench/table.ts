import type { Sample } from './measure.ts';
import type { Results, VariantResult } from './results.ts';
import { doubt, type Summary, summarise, summariseRatio } from './statistics.ts';
import { judge } from './targets.ts';
import { floor } from './variants.ts';

/** The whole report as Markdown: what was measured and how, the table, the targets. */
export function renderReport(results: Results): string {
  const sections = [
    describeRun(results),
    renderTable(
      [
        'variant',
        'CPU µs a request',
        'x bare',
        'work per CPU s, x peer',
        'requests/s',
        'p50 ms',
        'p99 ms',
        'memory MB',
        'x bare',
        'start ms',
      ],
      results.variants.map((variant) => renderVariant(variant, results)),
    ),
    notes,
    ...results.notRun.map(({ name, reason }) => `Not run: ${name}. ${reason}`),
    renderTable(
      ['target', 'measured', ''],
      judge(results).map(({ promise, measured, verdict }) => [promise, measured, verdict]),
    ),
  ];
  return sections.join('\n\n');
}

const notes = [
  'Medians over the rounds. ± is half the range of the middle half of the rounds. Ratios are made round by round; one',
  'with a remark behind it is too uncertain to quote. The peer is the variant that does the same work on Fastify.',
  'Latencies are those of a server kept busy all the time.',
].join('\n');

function describeRun({
  date,
  machine,
  versions,
  loadGenerator,
  pinning,
  seconds,
  variants,
}: Results): string {
  const rounds = variants[0]?.samples.length ?? 0;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${date}, ${machine.processor}, ${machine.processors} processors, ${machine.system}`,
    named.join(', '),
    `${rounds} rounds of ${seconds} s with ${loadGenerator}, interleaved; ${
      pinning === null
        ? 'NOT pinned to processors, so expect wide spreads'
        : `server on processor ${pinning.server}, everything else on ${pinning.others.join(', ')}`
    }; load average before the run ${machine.loadBefore.toFixed(2)}`,
  ].join('\n');
}

function renderVariant({ title, samples, peer }: VariantResult, { variants }: Results): string[] {
  const ratio = (figure: keyof Sample, other: string | undefined, inverse = false): string => {
    const reference = variants.find(({ name }) => name === other);
    if (reference === undefined) return '';
    const [own, others] = [samples, reference.samples].map((list) => list.map((sample) => sample[figure]));
    if (own === undefined || others === undefined) return '';
    return withDoubt(inverse ? summariseRatio(others, own) : summariseRatio(own, others));
  };
  const figure = (name: keyof Sample) => summarise(samples.map((sample) => sample[name]));
  return [
    title,
    withDeviation(figure('cpuMicros')),
    ratio('cpuMicros', floor),
    ratio('cpuMicros', peer, true),
    figure('requestsPerSecond').median.toFixed(0),
    figure('p50Ms').median.toFixed(2),
    figure('p99Ms').median.toFixed(2),
    figure('residentMegabytes').median.toFixed(0),
    ratio('residentMegabytes', floor),
    figure('startMs').median.toFixed(0),
  ];
}

function withDeviation({ median, spread }: Summary): string {
  const value = median.toFixed(1);
  return spread === undefined ? value : `${value} ±${((median * spread) / 2).toFixed(1)}`;
}

function withDoubt(summary: Summary): string {
  const uncertain = doubt(summary);
  const value = summary.median.toFixed(2);
  return uncertain === undefined ? value : `${value} (${uncertain})`;
}

/** A Markdown table whose columns are aligned in a terminal too: the first to the left, figures to the right. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
