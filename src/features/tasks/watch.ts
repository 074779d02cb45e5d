/**
 * Watching jobs: one question to the database every `everyMs` for all jobs that somebody watches in this process, and
 * none while nobody does.
 *
 *     idle ──watch()──> waiting ──everyMs──> asking ──> every watcher is told ──> waiting, or idle when none is left
 *
 * Not LISTEN: it needs a connection of its own in every worker process, does not pass a transaction pooler, and a task
 * that reports its progress quickly would wake everybody as often. A poll costs the same whether one task is watched or
 * hundreds, and what happens between two polls is skipped, as it should be.
 *
 * Invariants: questions never overlap; a watcher is told in the order of the answers, and of nothing after its `stop`. A
 * question that fails is asked again at the next time: the watchers wait. A watcher does not throw.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { JobStatus } from '../../jobs/job.ts';
import { runOutsideRequest } from '../../observability/request-context.ts';

/** Told of the job at every poll, changed or not; undefined when there is no such job any more. */
export type Watcher = (job: JobStatus | undefined) => void;

export interface JobWatch {
  /** Has `watcher` told of a job until the function that it returns is called. */
  watch(id: number, watcher: Watcher): () => void;
}

export interface JobWatchOptions {
  readonly find: (ids: readonly number[]) => Promise<readonly JobStatus[]>;
  readonly everyMs?: number;
}

export function createJobWatch({ find, everyMs = 250 }: JobWatchOptions): JobWatch {
  const watchers = new Map<number, Set<Watcher>>();
  let polling = false;

  async function poll(): Promise<void> {
    while (watchers.size > 0) {
      await delay(everyMs);
      const ids = [...watchers.keys()];
      const found = ids.length === 0 ? undefined : await find(ids).catch(() => undefined);
      if (found !== undefined) tell(ids, new Map(found.map((job) => [job.id, job])));
    }
    polling = false;
  }

  function tell(ids: readonly number[], jobs: ReadonlyMap<number, JobStatus>): void {
    for (const id of ids) {
      for (const watcher of watchers.get(id) ?? []) watcher(jobs.get(id));
    }
  }

  return {
    watch(id, watcher) {
      const others = watchers.get(id) ?? new Set();
      watchers.set(id, others.add(watcher));
      if (!polling) {
        polling = true;
        // Not for the request that happens to be the first: its end must not end the questions of the others.
        runOutsideRequest(() => void poll());
      }
      return () => {
        others.delete(watcher);
        if (others.size === 0 && watchers.get(id) === others) watchers.delete(id);
      };
    },
  };
}
