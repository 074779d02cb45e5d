import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { RetentionRule } from '../../../src/features/feature.ts';
import { startPruner } from '../../../src/program/parts/pruner.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';

/** A table with `count` expired rows, which records the size of each deleted batch. */
function rows(name: string, count: number): RetentionRule & { readonly batches: readonly number[] } {
  const batches: number[] = [];
  let left = count;
  return {
    name,
    batches,
    async deleteBatch(limit) {
      const deleted = Math.min(limit, left);
      left -= deleted;
      batches.push(deleted);
      return deleted;
    },
  };
}

describe('the pruner', () => {
  it('the pruner deletes in batches until no row is left, and logs the number of rows', async (t) => {
    const { log, of } = captureLog();
    const sessions = rows('sessions', 25);
    const pruner = startPruner({ rules: [sessions], everyMs: 1, batchSize: 10, log });
    t.after(() => pruner.stop());
    await eventually('all rows are gone', () => of('retention.pruned').length === 1);
    assert.deepEqual(sessions.batches.slice(0, 3), [10, 10, 5]);
    assert.equal(of('retention.pruned')[0]?.deleted, 25);
  });

  it('a rule that fails keeps neither the next rule nor the next round from running', async (t) => {
    const { log, of } = captureLog();
    const broken: RetentionRule = {
      name: 'broken',
      deleteBatch: () => Promise.reject(new Error('no such table')),
    };
    const tokens = rows('tokens', 3);
    const pruner = startPruner({ rules: [broken, tokens], everyMs: 1, log });
    t.after(() => pruner.stop());
    await eventually('it has failed twice', () => of('retention.failed').length >= 2);
    assert.deepEqual(tokens.batches.slice(0, 2), [3, 0]);
  });

  it('stop() resolves when the running batch has finished, and no other batch starts', async () => {
    const { log } = captureLog();
    const started = createDeferred<void>();
    const release = createDeferred<void>();
    let batches = 0;
    const slow: RetentionRule = {
      name: 'slow',
      async deleteBatch(limit) {
        batches += 1;
        started.resolve();
        await release.promise;
        return limit;
      },
    };
    const pruner = startPruner({ rules: [slow], everyMs: 1, log });
    await started.promise;
    let stopped = false;
    const stopping = pruner.stop().then(() => {
      stopped = true;
    });
    assert.equal(stopped, false);
    release.resolve();
    await stopping;
    assert.equal(batches, 1);
  });
});
