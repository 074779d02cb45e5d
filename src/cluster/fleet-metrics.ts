/**
 * The metrics of all processes as one: what the primary counts itself, what the living workers say now, and what
 * those that ended had counted. A worker that does not answer in time is represented by its last answer; each sends
 * one unasked every few seconds and when it ends, so that little is lost even with one that is killed.
 */

import { createDeferred } from '../concurrency/deferred.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { lastingPart, mergeSnapshots } from '../observability/metrics/merge-metrics.ts';
import type { Metrics, MetricsSnapshot } from '../observability/metrics/metrics.ts';
import type { SupervisedWorker } from './supervised-worker.ts';

export interface FleetMetrics {
  /** All metrics, within the deadline. Counters and histograms never fall from one collection to the next. */
  collect(): Promise<MetricsSnapshot>;
  /** Takes what a worker says, asked by `collect` with this id or unasked. */
  receive(worker: SupervisedWorker, id: number, snapshot: MetricsSnapshot): void;
  /** Keeps what an ended worker had counted. */
  archive(worker: SupervisedWorker): void;
}

/** How long one collection waits for the workers, in milliseconds. */
const deadlineMs = 30;

interface Round {
  readonly id: number;
  readonly awaited: Set<SupervisedWorker>;
  readonly result: Promise<MetricsSnapshot>;
  finish(): void;
}

export function createFleetMetrics(own: Metrics, workers: () => Iterable<SupervisedWorker>): FleetMetrics {
  const latest = new Map<SupervisedWorker, MetricsSnapshot>();
  /** When a collection waited in vain. Who has said nothing since is blocked, and is not waited for again. */
  const missedAt = new WeakMap<SupervisedWorker, number>();
  let ended: MetricsSnapshot = [];
  let round: Round | undefined;
  let lastId = 0;

  function beginRound(): Round {
    lastId += 1;
    const id = lastId;
    const awaited = new Set([...workers()].filter(canAnswer));
    for (const worker of awaited) worker.tell({ kind: 'scrape', id });
    const complete = createDeferred();
    const waitMs = awaited.size === 0 ? 0 : deadlineMs;
    const result = withTimeout(complete.promise, waitMs, () => {}).then(() => {
      round = undefined;
      for (const worker of awaited) missedAt.set(worker, performance.now());
      // The newest first: after a reload its shape of a family is the one that counts.
      return mergeSnapshots([own.snapshot(), ...[...latest.values()].reverse(), ended]);
    });
    return { id, awaited, result, finish: complete.resolve };
  }

  function canAnswer(worker: SupervisedWorker): boolean {
    const { state, heardAt } = worker;
    return (state === 'ready' || state === 'draining') && heardAt > (missedAt.get(worker) ?? 0);
  }

  function answered(worker: SupervisedWorker): void {
    if (round === undefined) return;
    round.awaited.delete(worker);
    if (round.awaited.size === 0) round.finish();
  }

  return {
    collect() {
      round ??= beginRound();
      return round.result;
    },
    receive(worker, id, snapshot) {
      latest.set(worker, snapshot);
      if (id === round?.id) answered(worker);
    },
    archive(worker) {
      const last = latest.get(worker);
      latest.delete(worker);
      if (last !== undefined) ended = mergeSnapshots([lastingPart(last), ended]);
      answered(worker);
    },
  };
}
