import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createConnectionSlots } from '../../src/db/connection-slots.ts';

describe('connection slots', () => {
  it('are taken at once while there are some, and then in the order of asking', async () => {
    const slots = createConnectionSlots(2);
    assert.equal(slots.take(undefined), undefined);
    assert.equal(slots.take(undefined), undefined);
    const order: string[] = [];
    const first = slots.take(undefined)?.then(() => order.push('first'));
    const second = slots.take(undefined)?.then(() => order.push('second'));
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 2 });
    slots.release();
    slots.release();
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first', 'second']);
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 0 });
  });

  it('go past who has given up waiting', async () => {
    const slots = createConnectionSlots(1);
    slots.take(undefined);
    const controller = new AbortController();
    const impatient = slots.take(controller.signal);
    const patient = slots.take(undefined);
    controller.abort(new Error('enough'));
    await assert.rejects(async () => impatient, /enough/);
    slots.release();
    await patient;
    assert.deepEqual(slots.stats(), { size: 1, inUse: 1, waiting: 0 });
  });

  it('tell when the last is free, or that the deadline has passed', async () => {
    const slots = createConnectionSlots(2);
    await slots.drained(0);
    slots.take(undefined);
    await slots.drained(5);
    assert.equal(slots.stats().inUse, 1);
    const drained = slots.drained(60_000);
    slots.release();
    await drained;
  });
});
