/** The results of a run of the queues: the file, the table, and the comparison with the targets. */

import * as z from 'zod';
import { renderMarkdownTable } from '../markdown-table.ts';
import { machineSchema } from '../results.ts';
import { doubt, type Summary, summarise, summariseRatio } from '../statistics.ts';
import type { Verdict } from '../targets.ts';
import { ours } from '../variants.ts';

const sampleSchema = z.object({ jobsPerSecond: z.number(), p50Ms: z.number(), p99Ms: z.number() });

export type JobsSample = z.output<typeof sampleSchema>;

export const jobsResultsSchema = z.object({
  date: z.string(),
  machine: machineSchema,
  versions: z.record(z.string(), z.string()),
  /** Jobs that wait when the runner starts. */
  jobs: z.number(),
  /** Jobs that are enqueued one by one, while the runner is idle. */
  singles: z.number(),
  systems: z.array(z.object({ name: z.string(), title: z.string(), samples: z.array(sampleSchema).min(1) })),
});

export type JobsResults = z.output<typeof jobsResultsSchema>;
type System = JobsResults['systems'][number];

export function renderJobs({ systems, jobs, singles }: JobsResults): string {
  const own = systems.find(({ name }) => name === ours);
  const rows = systems.map((system) => [
    system.title,
    summarise(figures(system, 'jobsPerSecond')).median.toFixed(0),
    own === undefined ? '' : describe(leadOver(own, system), 2, ''),
    summarise(figures(system, 'p50Ms')).median.toFixed(2),
    summarise(figures(system, 'p99Ms')).median.toFixed(2),
  ]);
  const head = ['queue', 'jobs/s', 'Strata does x times that', 'to the start, p50 ms', 'p99 ms'];
  return [
    `${systems[0]?.samples.length ?? 0} rounds, interleaved; ${jobs} jobs that do nothing, one runner; ${singles} single jobs to an idle one`,
    '',
    renderMarkdownTable(head, rows),
  ].join('\n');
}

/** Holds the results against the targets of the queue; without results, none of them was measured. */
export function judgeJobs(results: JobsResults | undefined): Verdict[] {
  const systems = results?.systems ?? [];
  const own = systems.find(({ name }) => name === ours);
  const rivals = systems.filter((system) => system !== own);
  const soon = 'jobs: from enqueue to start, p50 under 5 ms';
  const ahead = 'jobs: not behind';
  if (own === undefined) {
    return [`${ahead} graphile-worker and pg-boss`, soon].map((promise) => ({
      promise,
      measured: '',
      verdict: 'not measured',
    }));
  }
  return [
    ...rivals.map((rival) =>
      judgeOne(`${ahead} ${rival.title}`, leadOver(own, rival), ' x', (ratio) => ratio >= 1),
    ),
    judgeOne(soon, summarise(figures(own, 'p50Ms')), ' ms', (milliseconds) => milliseconds < 5),
  ];
}

function judgeOne(
  promise: string,
  summary: Summary,
  unit: string,
  meets: (value: number) => boolean,
): Verdict {
  const measured = describe(summary, 2, unit);
  if (doubt(summary) !== undefined) return { promise, measured, verdict: 'too uncertain' };
  return { promise, measured, verdict: meets(summary.median) ? 'met' : 'not met' };
}

function leadOver(own: System, other: System): Summary {
  return summariseRatio(figures(own, 'jobsPerSecond'), figures(other, 'jobsPerSecond'));
}

function figures({ samples }: System, figure: keyof JobsSample): number[] {
  return samples.map((sample) => sample[figure]);
}

function describe(summary: Summary, digits: number, unit: string): string {
  const remark = doubt(summary);
  return `${summary.median.toFixed(digits)}${unit}${remark === undefined ? '' : ` (${remark})`}`;
}
