import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';
import { tableRow } from './table-row.ts';

/** The lines of `docs/metrics.md`: every metric, and what its labels and sums mean. */
export function metricsPage(metrics: MetricsSnapshot): string[] {
  const rows = metrics.map(({ name, kind, labels, help, bounds }) =>
    tableRow([
      `\`${name}\``,
      kind,
      labels.length === 0 ? '-' : labels.map((label) => `\`${label}\``).join(', '),
      bounds.length === 0 ? help : `${help} Buckets up to ${bounds.join(', ')}.`,
    ]),
  );
  return [
    'What every process counts, in the text format of Prometheus. The management port serves it for all workers together at',
    '`/metrics`; with `SECURITY_ENABLE_PROMETHEUS=true` the public port does too, at the same path, without the prefix of the',
    'API. There a scrape is a request like any other: it is counted, and limited by address.',
    '',
    tableRow(['name', 'kind', 'labels', 'what']),
    tableRow(['---', '---', '---', '---']),
    ...rows,
    '',
    '## Over several workers',
    '',
    'With several workers there are also:',
    '',
    tableRow(['name', 'kind', 'labels', 'what']),
    tableRow(['---', '---', '---', '---']),
    ...ofSeveralWorkers.map(tableRow),
    '',
    'Where the server runs jobs (`APP_TASKS_ENABLED`), in a process beside it, there are also:',
    '',
    tableRow(['name', 'kind', 'labels', 'what']),
    tableRow(['---', '---', '---', '---']),
    ...ofJobProcess.map(tableRow),
    '',
    'Counters and histograms are added up, those of workers that have ended included, so that no sum falls. Gauges with the',
    'label `worker` are of that process alone; the primary, which answers no request, is `worker="primary"`, a process',
    'without workers is `worker="1"`, and what runs jobs is `worker="jobs"`. The other gauges are sums over the workers',
    'that are there.',
    '',
    '## Labels',
    '',
    'Values come from the code and never from a request, so that no client can make series. `route` is the template, such as',
    '`/api/v1/users/:id`, or `none` where no route matches; `method` is `OTHER` for a method that nobody here knows.',
    '`event` is a name of the log ([`src/observability/events.ts`](../src/observability/events.ts)), counted whether its line',
    'is written or not. Questions that it answers:',
    '',
    ...eventQuestions.map(
      ([question, names]) =>
        `- ${question} \`sum by (event) (rate(log_events_total{event=~"${names}"}[5m]))\``,
    ),
    '',
    '## Lag and utilisation of the event loop',
    '',
    'They are of the last stretch of 15 seconds or more that somebody has read to its end; the longest lag includes the one',
    'under way. So several readers do not disturb each other, and one that reads every 15 seconds misses nothing.',
  ];
}

/** What the primary and its workers count of each other; a test sees to it that none is left out. */
const ofSeveralWorkers = [
  ['`workers`', 'gauge', '`state`', 'Worker processes by state.'],
  ['`worker_restarts_total`', 'counter', '`reason`', 'Workers that ended and were replaced.'],
  [
    '`rate_limit_unanswered_total`',
    'counter',
    '-',
    'Requests let in or refused by `SECURITY_RATE_LIMIT_ON_FAILURE`, because the primary did not answer.',
  ],
];

/** What the server counts of the process that runs jobs beside it. */
const ofJobProcess = [
  ['`job_process_ready`', 'gauge', '-', 'Whether it is there: 0 or 1.'],
  ['`job_threads_replaced_total`', 'counter', '`reason`', 'Its threads that ended and were replaced.'],
  ['`job_process_restarts_total`', 'counter', '`reason`', 'Its ends by their reason; each was replaced.'],
];

const eventQuestions: readonly (readonly [question: string, names: string])[] = [
  ['Who is refused?', 'auth.(login.failed|login.throttled|credentials.refused|access.denied)'],
  ['Are sessions stolen?', 'auth.refresh.reused'],
  ['Do workers end?', 'worker.exited|worker.failed'],
  ['Does the limiter answer?', 'rate_limit.store_failed'],
  ['Is the database slow, or gone?', 'slow.query|database.unavailable'],
  ['Does mail leave?', 'mail.failed|mail.deferred'],
  ['Do jobs fail, or lose their process?', 'job.(failed|taken_over)|runner.lost'],
];
