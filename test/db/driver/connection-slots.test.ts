import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnectionSlots, type SlotOptions } from '../../../src/db/driver/connection-slots.ts';
import { AppError } from '../../../src/errors.ts';

/** Slots of that many connections, which are named objects here. */
function mustCreate(size: number, options: SlotOptions<{ readonly name: string }> = {}) {
  const connections = Array.from({ length: size }, (_, index) => ({ name: `connection ${index}` }));
  return createConnectionSlots(connections, options);
}

describe('connection slots', () => {
  it('connections are acquired at once while some are free, and then in the order of the requests', async () => {
    const slots = mustCreate(2);
    const [one, other] = [slots.acquire(undefined), slots.acquire(undefined)];
    assert.ok(!(one instanceof Promise) && !(other instanceof Promise) && one !== other);
    const order: string[] = [];
    const first = Promise.resolve(slots.acquire(undefined)).then(() => order.push('first'));
    const second = Promise.resolve(slots.acquire(undefined)).then(() => order.push('second'));
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 2 });
    slots.release(one);
    slots.release(other);
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first', 'second']);
    assert.deepEqual(slots.stats(), { size: 2, inUse: 2, waiting: 0 });
  });

  it('the most recently used connection is acquired first', async () => {
    const slots = mustCreate(3);
    const [one, other] = [await slots.acquire(undefined), await slots.acquire(undefined)];
    slots.release(other);
    slots.release(one);
    assert.equal(slots.acquire(undefined), one);
    assert.equal(slots.tryAcquire(), other);
  });

  it('a connection that was released closed is acquired after those that are open', async () => {
    const closed = new Set<object>();
    const slots = mustCreate(3, { isOpen: (connection) => !closed.has(connection) });
    const [broken, other] = [await slots.acquire(undefined), await slots.acquire(undefined)];
    slots.release(other);
    closed.add(broken);
    slots.release(broken);
    assert.equal(slots.acquire(undefined), other);
    assert.notEqual(slots.acquire(undefined), broken);
    assert.equal(slots.acquire(undefined), broken);
  });

  it('waiting callers can all be rejected, and later ones are served', async () => {
    const slots = mustCreate(1, { maxWaitMs: 5_000 });
    const connection = await slots.acquire(undefined);
    const waiting = [1, 2].map(async () => slots.acquire(undefined));
    slots.rejectWaiting(() => new AppError('database_unavailable', 'Away.'));
    for (const each of waiting) await assert.rejects(each, { code: 'database_unavailable' });
    assert.equal(slots.stats().waiting, 0);
    const later = slots.acquire(undefined);
    slots.release(connection);
    assert.equal(await later, connection);
  });

  it('a caller that gave up waiting gets no connection', async () => {
    const slots = mustCreate(1);
    const connection = await slots.acquire(undefined);
    const controller = new AbortController();
    const impatient = slots.acquire(controller.signal);
    const patient = slots.acquire(undefined);
    controller.abort(new Error('enough'));
    await assert.rejects(async () => impatient, /enough/);
    slots.release(connection);
    assert.equal(await patient, connection);
    assert.deepEqual(slots.stats(), { size: 1, inUse: 1, waiting: 0 });
  });

  it('the newest caller is rejected when the queue is full, and a place is free again when a caller leaves it', async () => {
    const slots = mustCreate(1, { maxWaiting: 2 });
    const connection = await slots.acquire(undefined);
    const controller = new AbortController();
    const [first, second] = [slots.acquire(controller.signal), slots.acquire(undefined)];
    const overloaded = { code: 'overloaded', headers: { 'retry-after': '1' } };
    await assert.rejects(async () => slots.acquire(undefined), overloaded);
    controller.abort(new Error('enough'));
    await assert.rejects(async () => first, /enough/);
    const third = slots.acquire(undefined);
    await assert.rejects(async () => slots.acquire(undefined), overloaded);
    slots.release(connection);
    slots.release(await second);
    assert.equal(await third, connection);
    assert.equal(slots.refused(), 2);
  });

  it('a caller that has waited for the maximum time is rejected, and those behind it continue to wait', async () => {
    const slots = mustCreate(1, { maxWaitMs: 40 });
    const connection = await slots.acquire(undefined);
    const first = slots.acquire(undefined);
    await delay(25);
    const second = slots.acquire(undefined);
    await assert.rejects(async () => first, { code: 'overloaded' });
    assert.deepEqual(slots.stats(), { size: 1, inUse: 1, waiting: 1 });
    slots.release(connection);
    assert.equal(await second, connection);
    assert.equal(slots.refused(), 1);
  });

  it('drained resolves when the last connection is free, or when its deadline has passed', async () => {
    const slots = mustCreate(2);
    await slots.drained(0);
    const connection = await slots.acquire(undefined);
    await slots.drained(5);
    assert.equal(slots.stats().inUse, 1);
    const drained = slots.drained(60_000);
    slots.release(connection);
    await drained;
  });
});
