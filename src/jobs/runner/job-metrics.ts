import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { TaskDefinition } from '../task.ts';
import type { RecordedOutcome } from './completer.ts';

/**
 * What became of attempts, as the label `outcome` says it. `refused`: the job has failed because its task rejected what it
 * was given. `taken_over`: from a runner that had died.
 */
export type CountedOutcome = RecordedOutcome['kind'] | 'refused' | 'taken_over';

export interface QueueDepth {
  readonly queue: string;
  /** How many jobs wait; counted up to 10,000. */
  readonly waiting: number;
  /** How long the oldest of them has waited. */
  readonly oldestSeconds: number;
}

export interface JobMetrics {
  /** An attempt got a thread, so long after its job could have run. */
  started(task: string, waitMs: number): void;
  /** An attempt ended. `durationMs` is null if it had no thread. */
  finished(task: string, outcome: CountedOutcome, durationMs: number | null): void;
  setDepths(depths: readonly QueueDepth[]): void;
}

/** A label is never what somebody wrote into the table: tasks that nobody has declared share this one. */
const unknown = 'unknown';

/** Declares what a runner counts, for the tasks it knows. `running` is asked when somebody looks. */
export function createJobMetrics(
  metrics: Metrics,
  definitions: readonly TaskDefinition[],
  running: () => number,
): JobMetrics {
  const finished = metrics.counter({
    name: 'jobs_finished_total',
    help: 'Attempts that ended, by task and by what became of them: completed, failed, refused (failed because of its input), retried, snoozed, cancelled, released, lost, taken_over.',
    labels: ['task', 'outcome'],
  });
  const duration = metrics.histogram({
    name: 'job_duration_seconds',
    help: 'How long attempts had a thread.',
    labels: ['task'],
    bounds: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
  });
  const wait = metrics.histogram({
    name: 'job_wait_seconds',
    help: 'From the moment a job could have run to the one at which it got a thread.',
    labels: ['queue'],
    bounds: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
  });
  const underWay = metrics.gauge({
    name: 'jobs_running',
    help: 'Attempts that have a thread now.',
    perWorker: true,
  });
  const waiting = metrics.gauge({
    name: 'jobs_waiting',
    help: 'Jobs that could run and wait for a thread, counted up to 10,000 a queue, every 15 seconds. Each runner says the same of the whole queue: take the highest.',
    labels: ['queue'],
    perWorker: true,
  });
  const oldest = metrics.gauge({
    name: 'jobs_oldest_waiting_seconds',
    help: 'How long the oldest of them has waited; 0 if none does. As above, take the highest.',
    labels: ['queue'],
    perWorker: true,
  });

  const queueOf = new Map(definitions.map(({ name, queue }) => [name, queue]));
  const labelOf = (task: string) => (queueOf.has(task) ? task : unknown);
  // From the start, at 0, so that the first failure is an increase already.
  for (const { name } of definitions) {
    for (const outcome of ['completed', 'failed', 'retried'] as const) finished.of(name, outcome);
  }
  metrics.onCollect(() => underWay.of().set(running()));

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
