import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { TaskDefinition } from '../task.ts';
import type { RecordedOutcome } from './completer.ts';
import type { QueueDepth } from './runner-store.ts';

/**
 * The values of the label `outcome`. `refused`: the job failed because its task rejected the input. `taken_over`: the
 * job was taken over from a dead runner.
 */
export type CountedOutcome = RecordedOutcome['kind'] | 'refused' | 'taken_over';

export interface JobMetrics {
  /** An attempt got a thread, `waitMs` after `run_at` of its job. */
  started(task: string, waitMs: number): void;
  /** An attempt finished. `durationMs` is null if it never had a thread. */
  finished(task: string, outcome: CountedOutcome, durationMs: number | null): void;
  setDepths(depths: readonly QueueDepth[]): void;
}

/**
 * The label of tasks that are not declared. A name from the table is never used as a label, because it could be
 * anything.
 */
const unknown = 'unknown';

/** Declares the metrics of a runner. `running` is called when metrics are collected. */
export function createJobMetrics(
  metrics: Metrics,
  definitions: readonly TaskDefinition[],
  running: () => number,
): JobMetrics {
  const finished = metrics.counter({
    name: 'jobs_finished_total',
    help: 'Attempts that ended, by task and outcome: completed, failed, refused (failed because of its input), retried, snoozed, cancelled, released, lost, taken_over.',
    labels: ['task', 'outcome'],
  });
  const duration = metrics.histogram({
    name: 'job_duration_seconds',
    help: 'Time that attempts had a thread.',
    labels: ['task'],
    bounds: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
  });
  const wait = metrics.histogram({
    name: 'job_wait_seconds',
    help: 'Time from the moment at which a job could run until it got a thread.',
    labels: ['queue'],
    bounds: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
  });
  const runningNow = metrics.gauge({
    name: 'jobs_running',
    help: 'Attempts that have a thread.',
    perWorker: true,
  });
  const waiting = metrics.gauge({
    name: 'jobs_waiting',
    help: 'Jobs that could run and wait for a thread, counted up to 10,000 per queue, every 15 seconds. Each runner reports the whole queue: use the maximum.',
    labels: ['queue'],
    perWorker: true,
  });
  const oldest = metrics.gauge({
    name: 'jobs_oldest_waiting_seconds',
    help: 'How long the oldest waiting job has waited; 0 if none waits. As above, use the maximum.',
    labels: ['queue'],
    perWorker: true,
  });

  const queueOf = new Map(definitions.map(({ name, queue }) => [name, queue]));
  const labelOf = (task: string) => (queueOf.has(task) ? task : unknown);
  // Created at 0, so that the first failure is an increase that alerts can see.
  for (const { name } of definitions) {
    for (const outcome of ['completed', 'failed', 'retried'] as const) finished.of(name, outcome);
  }
  metrics.onCollect(() => runningNow.of().set(running()));

  return {
    started: (task, waitMs) => wait.of(queueOf.get(task) ?? unknown).observe(waitMs / 1000),
    finished(task, outcome, durationMs) {
      finished.of(labelOf(task), outcome).add();
      if (durationMs !== null) duration.of(labelOf(task)).observe(durationMs / 1000);
    },
    setDepths(depths) {
      for (const each of depths) {
        waiting.of(each.queue).set(each.waiting);
        oldest.of(each.queue).set(each.oldestSeconds);
      }
    },
  };
}
