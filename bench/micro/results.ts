/** The results of the micro benchmarks: the file, the tables, and the comparison with the targets. */

import * as z from 'zod';
import { renderMarkdownTable } from '../markdown-table.ts';
import { doubt, type Summary, summarise, summariseRatio } from '../statistics.ts';
import type { TableResults } from '../table-results.ts';
import type { Verdict } from '../targets.ts';

/** The cost of one call, or of one client, for one implementation. */
export const microCaseSchema = z.object({
  bench: z.string(),
  question: z.string(),
  name: z.string(),
  /** The one that the others of its question are compared with. */
  ours: z.boolean(),
  unit: z.enum(['ns', 'bytes']),
  /** One a round. */
  figures: z.array(z.number()).min(1),
});

export type MicroCase = z.output<typeof microCaseSchema>;

/** Tables and targets, which the report shows; the file has the cases beside them. */
export interface MicroResults extends Pick<TableResults, 'tables' | 'targets'> {
  readonly cases: readonly MicroCase[];
}

/** A table for each benchmark, and the comparison of the cases with the targets. */
export function summariseMicro(cases: readonly MicroCase[]): MicroResults {
  const benches = [...new Set(cases.map(({ bench }) => bench))];
  return {
    cases,
    tables: benches.map((title) => ({
      title,
      head: ['question', 'who', 'unit', 'median', 'x Strata'],
      rows: cases
        .filter(({ bench }) => bench === title)
        .map((each) => [
          each.question,
          each.name,
          each.unit,
          withDeviation(summarise(each.figures)),
          compareWithOurs(each, cases),
        ]),
    })),
    targets: [
      ...['static', 'parameter', 'miss'].map((kind) => judgeRouter(kind, cases)),
      judgeMemory(cases),
      judgeCache(cases),
    ],
  };
}

export function renderMicro({ tables, targets }: MicroResults): string {
  const verdicts = targets.map(({ promise, measured, verdict }) => [promise, measured, verdict]);
  return [
    ...tables.flatMap(({ title, head, rows }) => [`${title}:`, '', renderMarkdownTable(head, rows, 3), '']),
    renderMarkdownTable(['target', 'measured', 'verdict'], verdicts, 3),
  ].join('\n');
}

function compareWithOurs(each: MicroCase, cases: readonly MicroCase[]): string {
  const ours = cases.find(
    ({ bench, question, ours }) => ours && bench === each.bench && question === each.question,
  );
  if (ours === undefined || ours === each) return '';
  return describeRatio(summariseRatio(each.figures, ours.figures));
}

/** The maximum cost of a match among 5,000 routes, relative to 10. */
const flatWithin = 1.3;

function judgeRouter(kind: string, cases: readonly MicroCase[]): Verdict {
  const promise = `router, ${kind}: a match among 5,000 routes costs at most ${flatWithin} x one among 10`;
  const figuresOf = (question: string) =>
    cases.find(({ bench, ours, question: own }) => bench === 'router' && ours && own === question)?.figures;
  const [few, many] = [figuresOf(`${kind}, 10 routes`), figuresOf(`${kind}, 5000 routes`)];
  if (few === undefined || many === undefined) return { promise, measured: '', verdict: 'not measured' };
  const ratio = summariseRatio(many, few);
  const measured = describeRatio(ratio);
  if (doubt(ratio) !== undefined) return { promise, measured, verdict: 'too uncertain' };
  return { promise, measured, verdict: ratio.median <= flatWithin ? 'met' : 'not met' };
}

const maxBytes = 200;

function judgeMemory(cases: readonly MicroCase[]): Verdict {
  const promise = `limiter: at most ${maxBytes} bytes an idle client`;
  const memory = cases.find(({ ours, unit }) => ours && unit === 'bytes');
  if (memory === undefined) return { promise, measured: '', verdict: 'not measured' };
  const { median } = summarise(memory.figures);
  return {
    promise,
    measured: `${median.toFixed(0)} bytes`,
    verdict: median <= maxBytes ? 'met' : 'not met',
  };
}

const maxHitNs = 2_000;

function judgeCache(cases: readonly MicroCase[]): Verdict {
  const promise = `cache: a hit in memory takes at most ${maxHitNs / 1000} µs`;
  const hit = cases.find(
    ({ bench, ours, question }) => bench === 'cache' && ours && /^a hit in memory/.test(question),
  );
  if (hit === undefined) return { promise, measured: '', verdict: 'not measured' };
  const { median } = summarise(hit.figures);
  const measured = `${(median / 1000).toFixed(2)} µs`;
  return { promise, measured, verdict: median <= maxHitNs ? 'met' : 'not met' };
}

/** One figure alone has no spread: memory is counted once, and does not swing. */
function describeRatio(ratio: Summary): string {
  const value = ratio.median.toFixed(2);
  const uncertain = ratio.spread === undefined ? undefined : doubt(ratio);
  return uncertain === undefined ? value : `${value} (${uncertain})`;
}

function withDeviation({ median, spread }: Summary): string {
  const value = median.toFixed(median < 100 ? 1 : 0);
  return spread === undefined ? value : `${value} ±${((median * spread) / 2).toFixed(1)}`;
}
