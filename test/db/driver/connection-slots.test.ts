import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnectionSlots, type SlotLimits } from '../../../src/db/driver/connection-slots.ts';

/** Slots of that many connections, which are objects with a name here. */
function mustCreate(size: number, limits: SlotLimits = {}) {
  const connections = Array.from({ length: size }, (_, index) => ({ name: `connection ${index}` }));
  return createConnectionSlots(connections, limits);
}

describe('connection slots', () => {
  it('connections are taken at once while some are free, and then in the order of the requests', async () => {
    const slots = mustCreate(2);
    const [one, other] = [slots.take(undefined), slots.take(undefined)];
    assert.ok(!(one instanceof Promise) && !(other instanceof Promise) && one !== other);
    const order: string[] = [];
    const first = Promise.resolve(slots.take(undefined)).then(() => order.push('first'));
    const second = Promise.resolve(slots.take(undefined)).then(() => order.push('second'));
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 2 });
    slots.release(one);
    slots.release(other);
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first', 'second']);
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 0 });
  });

  it('the connection that was used last is taken first', async () => {
    const slots = mustCreate(3);
    const [one, other] = [await slots.take(undefined), await slots.take(undefined)];
    slots.release(other);
    slots.release(one);
    assert.equal(slots.take(undefined), one);
    assert.equal(slots.takeFree(), other);
  });

  it('a caller that gave up waiting gets no connection', async () => {
    const slots = mustCreate(1);
    const connection = await slots.take(undefined);
    const controller = new AbortController();
    const impatient = slots.take(controller.signal);
    const patient = slots.take(undefined);
    controller.abort(new Error('enough'));
    await assert.rejects(async () => impatient, /enough/);
    slots.release(connection);
    assert.equal(await patient, connection);
    assert.deepEqual(slots.stats(), { size: 1, inUse: 1, waiting: 0 });
  });

  it('the newest caller is refused when the line is full, and a place is free again when one leaves it', async () => {
    const slots = mustCreate(1, { maxWaiting: 2 });
    const connection = await slots.take(undefined);
    const controller = new AbortController();
    const [first, second] = [slots.take(controller.signal), slots.take(undefined)];
    const overloaded = { code: 'overloaded', headers: { 'retry-after': '1' } };
    await assert.rejects(async () => slots.take(undefined), overloaded);
    controller.abort(new Error('enough'));
    await assert.rejects(async () => first, /enough/);
    const third = slots.take(undefined);
    await assert.rejects(async () => slots.take(undefined), overloaded);
    slots.release(connection);
    slots.release(await second);
    assert.equal(await third, connection);
    assert.equal(slots.refused(), 2);
  });

  it('a caller that has waited for the limit is refused, and those behind it go on waiting', async () => {
    const slots = mustCreate(1, { maxWaitMs: 40 });
    const connection = await slots.take(undefined);
    const first = slots.take(undefined);
    await delay(25);
    const second = slots.take(undefined);
    await assert.rejects(async () => first, { code: 'overloaded' });
    assert.deepEqual(slots.stats(), { size: 1, inUse: 1, waiting: 1 });
    slots.release(connection);
    assert.equal(await second, connection);
    assert.equal(slots.refused(), 1);
  });

  it('drained resolves when the last connection is free, or when its deadline has passed', async () => {
    const slots = mustCreate(2);
    await slots.drained(0);
    const connection = await slots.take(undefined);
    await slots.drained(5);
    assert.equal(slots.stats().inUse, 1);
    const drained = slots.drained(60_000);
    slots.release(connection);
    await drained;
  });
});
