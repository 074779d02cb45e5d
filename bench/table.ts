import { type Figure, figureOf, findCell, isSaturated, ratioOf } from './figures.ts';
import { renderMarkdownTable } from './markdown-table.ts';
import type { CellResult, Results } from './results.ts';
import { principal, scenarioNames } from './scenarios.ts';
import { doubt, type Summary } from './statistics.ts';
import { judge, type Verdict } from './targets.ts';
import { floor, ours, variants } from './variants.ts';

/** The parts of the report of a run, as Markdown; a part of which nothing was measured is undefined. */
export interface Sections {
  readonly run: string;
  readonly main: string | undefined;
  readonly others: string | undefined;
  readonly figures: string;
  /** The variants that could not run, one paragraph each. */
  readonly notRun: string | undefined;
}

/** The whole report of a run as Markdown: what was measured and how, the tables, the targets. */
export function renderReport(results: Results): string {
  const { run, main, others, figures, notRun } = renderSections(results);
  const sections = [run, main, others, figures, notRun, renderTargets(judge(results))];
  return sections.filter((section) => section !== undefined).join('\n\n');
}

export function renderSections(results: Results): Sections {
  const { cells, notRun } = results;
  const main = cells.filter(({ scenario }) => scenario === principal);
  const others = scenarioNames
    .filter((name) => name !== principal)
    .flatMap((name) => cells.filter(({ scenario }) => scenario === name));
  return {
    run: describeRun(results),
    main: main.length > 0 ? renderMain(main, results) : undefined,
    others: others.length > 0 ? renderOthers(others, results) : undefined,
    figures: describeFigures(results),
    notRun: notRun.length > 0 ? notRun.map(describeNotRun).join('\n\n') : undefined,
  };
}

export function renderTargets(verdicts: readonly Verdict[]): string {
  return renderMarkdownTable(
    ['target', 'measured', ''],
    verdicts.map(({ promise, measured, verdict }) => [promise, measured, verdict]),
  );
}

function describeNotRun({ variant, scenario, reason }: Results['notRun'][number]): string {
  const what = scenario === undefined ? variant : `${variant}, ${scenario}`;
  return `Not run: ${what}. ${reason}`;
}

function describeRun(results: Results): string {
  const { date, machine, versions, loadGenerator, pinning, rounds, seconds, rate } = results;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${date}, ${machine.processor}, ${machine.processors} processors, ${machine.system}`,
    named.join(', '),
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}, interleaved: ${seconds} s of busy load by ${loadGenerator}, then ${seconds} s at ${rate} requests/s; ${
      pinning === null
        ? 'NOT pinned to processors, so expect wide spreads'
        : `server on processor ${pinning.server}, everything else on ${pinning.others.join(', ')}`
    }; load average before the run ${machine.loadBefore.toFixed(2)}`,
  ].join('\n');
}

function describeFigures({ rate }: Results): string {
  return [
    'Medians over the rounds. ± is half the range of the middle half of the rounds. Ratios are of CPU time or memory and',
    'are made round by round; one with a remark behind it is too uncertain to quote. Requests/s are those of a server',
    `that is busy all the time; latencies are those at ${rate} requests/s, from the moment each request was due, and are`,
    'left out as "saturated" where the server can hardly do that many.',
  ].join('\n');
}

function renderMain(cells: readonly CellResult[], results: Results): string {
  const head = [
    'variant',
    'CPU µs a request',
    `x ${floor}`,
    `x ${ours}`,
    'requests/s',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'memory MB',
    `x ${floor}`,
    'start ms',
  ];
  return renderMarkdownTable(
    head,
    cells.map((cell) => [
      titleOf(cell),
      ...speedOf(cell, results),
      figureOf(cell, 'residentMegabytes').median.toFixed(0),
      ratio(cell, floor, 'residentMegabytes', results),
      figureOf(cell, 'startMs').median.toFixed(0),
    ]),
  );
}

function renderOthers(cells: readonly CellResult[], results: Results): string {
  const head = [
    'scenario',
    'variant',
    'CPU µs a request',
    `x ${floor}`,
    `x ${ours}`,
    'requests/s',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
  ];
  const rows = cells.map((cell) => [cell.scenario, titleOf(cell), ...speedOf(cell, results)]);
  return renderMarkdownTable(head, rows, 2);
}

/** The columns that both tables have. */
function speedOf(cell: CellResult, results: Results): string[] {
  const saturated = isSaturated(cell, results.rate);
  const latency = (figure: Figure) => (saturated ? 'saturated' : figureOf(cell, figure).median.toFixed(2));
  return [
    withDeviation(figureOf(cell, 'cpuMicros')),
    ratio(cell, floor, 'cpuMicros', results),
    ratio(cell, ours, 'cpuMicros', results),
    figureOf(cell, 'requestsPerSecond').median.toFixed(0),
    latency('p50Ms'),
    latency('p99Ms'),
    latency('p999Ms'),
  ];
}

function titleOf({ variant }: CellResult): string {
  return variants.find(({ name }) => name === variant)?.title ?? variant;
}

/** Against another variant in the same scenario; empty where that was not measured. */
function ratio(cell: CellResult, other: string, figure: Figure, { cells }: Results): string {
  const reference = findCell(cells, other, cell.scenario);
  if (reference === undefined) return '';
  const summary = ratioOf(cell, reference, figure);
  const uncertain = reference === cell ? undefined : doubt(summary);
  const value = summary.median.toFixed(2);
  return uncertain === undefined ? value : `${value} (${uncertain})`;
}

function withDeviation({ median, spread }: Summary): string {
  const value = median.toFixed(1);
  return spread === undefined ? value : `${value} ±${((median * spread) / 2).toFixed(1)}`;
}
