import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTurns } from '../../src/resilience/turns.ts';
import { deferred } from '../helpers/deferred.ts';

it('work waits for its turn in the order it came, and a failure gives the turn to the next', async () => {
  const turns = createTurns(1, 2);
  const first = deferred();
  const order: string[] = [];
  const work = (name: string) => async () => void order.push(name);
  const running = turns.run(async () => {
    await first.promise;
    throw new Error('broken');
  });
  const others = [turns.run(work('a')), turns.run(work('b'))];
  assert.equal(turns.isFull, true);
  assert.deepEqual(order, []);
  first.resolve();
  await assert.rejects(running, /broken/);
  await Promise.all(others);
  assert.deepEqual(order, ['a', 'b']);
  assert.equal(turns.isFull, false);
});
