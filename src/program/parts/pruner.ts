/**
 * The pruner deletes rows past their retention: ended sessions, used tokens, expired keys. Nothing reads these rows any
 * more, so the exact time of deletion does not matter. Each retention rule deletes in small batches until a batch is not
 * full, so no statement holds its locks for long. Several processes may prune at once.
 *
 *     waiting --interval elapsed--> pruning: rule 1, rule 2, ... --> waiting
 *         \______________________ stop() _____________________/   waits for the current batch, starts no other
 *
 * A rule that fails is logged and retried in the next round.
 */

import type { RetentionRule } from '../../features/feature.ts';
import type { Logger } from '../../observability/logger.ts';

export interface PrunerOptions {
  readonly rules: readonly RetentionRule[];
  /** Milliseconds between rounds. The first round starts after a random part of it, so that processes spread out. */
  readonly everyMs: number;
  readonly batchSize?: number;
  readonly log: Logger;
}

/** Starts the rounds. `stop` is idempotent and resolves when no batch is running. */
export function startPruner({ rules, everyMs, batchSize = 1000, log }: PrunerOptions): {
  stop(): Promise<void>;
} {
  let stopped = false;
  let pruning = Promise.resolve();
  let timer = setTimeout(round, Math.random() * everyMs);

  function round(): void {
    pruning = prune().then(() => {
      if (stopped) return;
      timer = setTimeout(round, everyMs);
    });
  }

  async function prune(): Promise<void> {
    for (const { name, deleteBatch } of rules) {
      try {
        let deleted = 0;
        let batch = batchSize;
        while (batch === batchSize && !stopped) {
          batch = await deleteBatch(batchSize);
          deleted += batch;
        }
        if (deleted > 0) log.info('retention.pruned', { rule: name, deleted });
      } catch (error) {
        log.warning('retention.failed', { rule: name, error });
      }
    }
  }

  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      return pruning;
    },
  };
}
