/**
 * Deleting what is over: sessions long ended, tokens long used, keys long expired. Nothing reads these rows any more,
 * so it never matters when they go, only that they do. Each chore deletes a small batch at a time and is called again
 * until it finds less than a batch, so no statement holds its locks for long; several processes may do it at once.
 *
 *     waiting --time is up--> working: chore 1, chore 2, ... --> waiting
 *         \___________________ stop() ___________________/   a batch that runs is waited for, the next is not begun
 *
 * A chore that fails is logged and tried again at the next round.
 */

import type { Logger } from '../observability/logger.ts';

export interface Chore {
  /** What it deletes, for the log. */
  readonly name: string;
  /** Deletes at most `limit` rows and returns how many there were. */
  readonly deleteBatch: (limit: number) => Promise<number>;
}

export interface HousekeepingOptions {
  readonly chores: readonly Chore[];
  /** Milliseconds between rounds. The first is earlier by a random part, so that processes do not work in step. */
  readonly everyMs: number;
  readonly batchSize?: number;
  readonly log: Logger;
}

/** Starts the rounds. `stop` is idempotent and resolves when no batch is running. */
export function startHousekeeping({ chores, everyMs, batchSize = 1000, log }: HousekeepingOptions): {
  stop(): Promise<void>;
} {
  let stopped = false;
  let working = Promise.resolve();
  let timer = setTimeout(round, Math.random() * everyMs);

  function round(): void {
    working = work().then(() => {
      if (stopped) return;
      timer = setTimeout(round, everyMs);
    });
  }

  async function work(): Promise<void> {
    for (const { name, deleteBatch } of chores) {
      try {
        let deleted = 0;
        let batch = batchSize;
        while (batch === batchSize && !stopped) {
          batch = await deleteBatch(batchSize);
          deleted += batch;
        }
        if (deleted > 0) log.info('housekeeping.done', { chore: name, deleted });
      } catch (error) {
        log.warning('housekeeping.failed', { chore: name, error });
      }
    }
  }

  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      return working;
    },
  };
}
