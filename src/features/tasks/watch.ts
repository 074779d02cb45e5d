/**
 * Watches jobs: one query every `everyMs` for all jobs that are watched in this process, and none while no job is watched.
 *
 *     idle ──watch()──> waiting ──everyMs──> querying ──> all watchers are called ──> waiting, or idle if none is left
 *
 * It does not use LISTEN, which needs a separate connection in every worker process and does not work through a transaction
 * pooler, and with which a task with frequent progress would wake all watchers as often. A poll costs the same for one
 * watched task or hundreds, and states between two polls are skipped.
 *
 * Invariants: queries never overlap; a watcher is called in the order of the results, and never after it was stopped. After
 * a failed query, the watchers wait for the next one. A watcher must not throw.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { JobStatus } from '../../jobs/job.ts';
import { runOutsideRequest } from '../../observability/request-context.ts';

/** Called with the job at every poll, changed or not, and with undefined if the job no longer exists. */
export type Watcher = (job: JobStatus | undefined) => void;

export interface JobWatch {
  /** Calls `watcher` with a job until the returned function is called. */
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
      if (found !== undefined) notify(ids, new Map(found.map((job) => [job.id, job])));
    }
    polling = false;
  }

  function notify(ids: readonly number[], jobs: ReadonlyMap<number, JobStatus>): void {
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
        // Outside of the first watcher's request, whose end must not cancel the queries of the others.
        runOutsideRequest(() => void poll());
      }
      return () => {
        others.delete(watcher);
        if (others.size === 0 && watchers.get(id) === others) watchers.delete(id);
      };
    },
  };
}
