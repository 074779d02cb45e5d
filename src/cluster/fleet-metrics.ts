/**
 * The metrics of all processes as one: those of the supervisor, those of the living processes now, and those that ended
 * processes had counted. A process that does not answer in time is represented by its last snapshot. Each sends one
 * unasked every few seconds and when it stops, so that little is lost even if it is killed.
 */

import { createDeferred } from '../concurrency/deferred.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { lastingPart, mergeSnapshots } from '../observability/metrics/merge-metrics.ts';
import type { Metrics, MetricsSnapshot } from '../observability/metrics/metrics.ts';
import type { SupervisedProcess } from './supervised-process.ts';

export interface FleetMetrics {
  /** Resolves with all metrics within the deadline. Counters and histograms never decrease between collections. */
  collect(): Promise<MetricsSnapshot>;
  /** Receives the snapshot of a process: the answer to the collection with this id, or an unasked one, with id 0. */
  receive(from: SupervisedProcess, id: number, snapshot: MetricsSnapshot): void;
  /** Keeps the counts of a process that has exited. */
  archive(gone: SupervisedProcess): void;
}

/** How long one collection waits for the processes, in milliseconds. */
const deadlineMs = 30;

interface Round {
  readonly id: number;
  readonly awaited: Set<SupervisedProcess>;
  readonly result: Promise<MetricsSnapshot>;
  /** Ends the wait: every process has answered. */
  finish(): void;
}

export function createFleetMetrics(own: Metrics, processes: () => Iterable<SupervisedProcess>): FleetMetrics {
  const latest = new Map<SupervisedProcess, MetricsSnapshot>();
  /** When a process missed a deadline. Without a message since then it is blocked, and no collection waits for it. */
  const missedAt = new WeakMap<SupervisedProcess, number>();
  let ended: MetricsSnapshot = [];
  let round: Round | undefined;
  let lastId = 0;

  function startRound(): Round {
    lastId += 1;
    const id = lastId;
    const awaited = new Set([...processes()].filter(canAnswer));
    for (const each of awaited) each.send({ kind: 'scrape', id });
    const answered = createDeferred();
    const result = withTimeout(answered.promise, awaited.size === 0 ? 0 : deadlineMs, () => {}).then(() => {
      round = undefined;
      for (const each of awaited) missedAt.set(each, performance.now());
      // The newest process is first: `mergeSnapshots` omits a family whose labels or buckets differ from the first snapshot that
      // has it, so after a reload the new version decides.
      return mergeSnapshots([own.snapshot(), ...[...latest.values()].reverse(), ended]);
    });
    return { id, awaited, result, finish: answered.resolve };
  }

  function canAnswer(each: SupervisedProcess): boolean {
    const { state, lastHeartbeatAt } = each;
    return (state === 'ready' || state === 'draining') && lastHeartbeatAt > (missedAt.get(each) ?? 0);
  }

  function onAnswer(from: SupervisedProcess): void {
    if (round === undefined) return;
    round.awaited.delete(from);
    if (round.awaited.size === 0) round.finish();
  }

  return {
    collect() {
      round ??= startRound();
      return round.result;
    },
    receive(from, id, snapshot) {
      latest.set(from, snapshot);
      if (id === round?.id) onAnswer(from);
    },
    archive(gone) {
      const last = latest.get(gone);
      latest.delete(gone);
      if (last !== undefined) ended = mergeSnapshots([lastingPart(last), ended]);
      onAnswer(gone);
    },
  };
}
