import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Chore, startHousekeeping } from '../../src/program/pruner.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { deferred } from '../helpers/deferred.ts';
import { eventually } from '../helpers/eventually.ts';

/** A table of so many rows that are over, which notes how many went each time. */
function rows(name: string, count: number): Chore & { readonly batches: readonly number[] } {
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

describe('housekeeping', () => {
  it('deletes in batches until nothing is left, and says how much', async (t) => {
    const { log, of } = captureLog();
    const sessions = rows('sessions', 25);
    const kept = startHousekeeping({ chores: [sessions], everyMs: 1, batchSize: 10, log });
    t.after(() => kept.stop());
    await eventually('all rows are gone', () => of('housekeeping.done').length === 1);
    assert.deepEqual(sessions.batches.slice(0, 3), [10, 10, 5]);
    assert.equal(of('housekeeping.done')[0]?.deleted, 25);
  });

  it('goes on with the next chore, and with the next round, when one fails', async (t) => {
    const { log, of } = captureLog();
    const broken: Chore = { name: 'broken', deleteBatch: () => Promise.reject(new Error('no such table')) };
    const tokens = rows('tokens', 3);
    const kept = startHousekeeping({ chores: [broken, tokens], everyMs: 1, log });
    t.after(() => kept.stop());
    await eventually('it has failed twice', () => of('housekeeping.failed').length >= 2);
    assert.deepEqual(tokens.batches.slice(0, 2), [3, 0]);
  });

  it('is stopped when the batch that runs has ended, and begins no other', async () => {
    const { log } = captureLog();
    const begun = deferred<void>();
    const release = deferred<void>();
    let batches = 0;
    const slow: Chore = {
      name: 'slow',
      async deleteBatch(limit) {
        batches += 1;
        begun.resolve();
        await release.promise;
        return limit;
      },
    };
    const kept = startHousekeeping({ chores: [slow], everyMs: 1, log });
    await begun.promise;
    let stopped = false;
    const stopping = kept.stop().then(() => {
      stopped = true;
    });
    assert.equal(stopped, false);
    release.resolve();
    await stopping;
    assert.equal(batches, 1);
  });
});
