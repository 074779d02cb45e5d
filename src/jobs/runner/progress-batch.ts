/**
 * Batches the progress of running jobs on its way to the table: the latest progress of each job since the last write,
 * and at most one write per `everyMs` for all jobs together. A failed write is not repeated, because newer progress
 * replaces it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { AttemptKey } from '../attempt-store.ts';
import type { Progress } from '../thread/thread-messages.ts';

export type ProgressEntry = AttemptKey & Progress;

export interface ProgressBatch {
  put(entry: ProgressEntry): void;
  /** Discards the unwritten progress of a job whose attempt has finished. */
  drop(id: number): void;
}

/** `write` must not reject. */
export function createProgressBatch(
  write: (entries: readonly ProgressEntry[]) => Promise<void>,
  everyMs: number,
): ProgressBatch {
  const latest = new Map<number, ProgressEntry>();
  let writing = false;

  async function writeLatest(): Promise<void> {
    writing = true;
    while (latest.size > 0) {
      const entries = [...latest.values()];
      latest.clear();
      await write(entries);
      await delay(everyMs, undefined, { ref: false });
    }
    writing = false;
  }

  return {
    put(entry) {
      latest.set(entry.id, entry);
      if (!writing) void writeLatest();
    },
    drop: (id) => void latest.delete(id),
  };
}
