/**
 * What tasks say of how far they are, on its way to the table: of each job only the last word since the last write, and
 * at most one write in `everyMs` for all jobs together. A write that fails is not repeated: the next word replaces it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { AttemptKey } from '../attempt-store.ts';
import type { Progress } from '../thread/thread-messages.ts';

export type ProgressEntry = AttemptKey & Progress;

export interface ProgressBatch {
  put(entry: ProgressEntry): void;
  /** The attempt has ended: what it said last is no longer of interest. */
  drop(id: number): void;
}

/** `write` never rejects. */
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
