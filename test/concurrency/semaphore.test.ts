import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { createDeferred, type Deferred } from '../../src/concurrency/deferred.ts';
import { createSemaphore, type Lane } from '../../src/concurrency/semaphore.ts';

const wide: Lane = { maxRunning: 10, maxWaiting: 100, weight: 1 };

/** Turns whose work runs until the test ends it. */
function world(concurrency: number, lanes: { readonly a: Lane; readonly b: Lane }) {
  const semaphore = createSemaphore({ concurrency, lanes, createFullError: () => new Error('no room') });
  const started: string[] = [];
  const refused: string[] = [];
  const ends = new Map<string, Deferred<void>>();
  const enter = (lane: 'a' | 'b', source: string, name: string) => {
    const end = createDeferred();
    ends.set(name, end);
    semaphore
      .run({ lane, source }, () => {
        started.push(name);
        return end.promise;
      })
      .catch(() => refused.push(name));
  };
  /** Ends the piece that started first of those that run, until none waits. */
  const drain = async () => {
    for (let nth = 0; nth < started.length; nth += 1) {
      ends.get(started[nth] ?? '')?.resolve();
      await settled();
    }
  };
  return { enter, drain, started, refused };
}

describe('the sources of a lane', () => {
  it('take turns, so one that comes later does not wait for all that another has waiting', async () => {
    const { enter, drain, started } = world(1, { a: wide, b: wide });
    for (const name of ['x1', 'x2', 'x3', 'x4']) enter('a', 'x', name);
    enter('a', 'y', 'y1');
    await settled();
    await drain();
    assert.deepEqual(started, ['x1', 'x2', 'y1', 'x3', 'x4']);
  });

  it('cannot fill the lane for another: the newest of the largest is refused for it', async () => {
    const { enter, drain, started, refused } = world(1, { a: { ...wide, maxWaiting: 3 }, b: wide });
    for (const name of ['x1', 'x2', 'x3', 'x4', 'x5']) enter('a', 'x', name);
    await settled();
    assert.deepEqual(refused, ['x5']);
    enter('a', 'y', 'y1');
    enter('a', 'y', 'y2');
    await settled();
    assert.deepEqual(refused, ['x5', 'x4', 'y2']);
    await drain();
    assert.deepEqual(started, ['x1', 'x2', 'y1', 'x3']);
  });
});

describe('the lanes', () => {
  it('get turns in proportion to their weights while both wait, and neither starves', async () => {
    const { enter, drain, started } = world(1, { a: { ...wide, weight: 3 }, b: wide });
    for (let nth = 0; nth < 12; nth += 1) {
      enter('a', 'x', `a${nth}`);
      enter('b', 'y', `b${nth}`);
    }
    await settled();
    await drain();
    assert.equal(started.slice(0, 12).filter((name) => name.startsWith('a')).length, 9);
    assert.equal(started.length, 24);
  });

  it('do not catch up on turns that they did not need', async () => {
    const { enter, drain, started } = world(1, { a: wide, b: wide });
    for (let nth = 0; nth < 20; nth += 1) enter('a', 'x', `a${nth}`);
    await settled();
    await drain();
    for (let nth = 0; nth < 4; nth += 1) {
      enter('a', 'x', `late a${nth}`);
      enter('b', 'y', `late b${nth}`);
    }
    await settled();
    await drain();
    assert.equal(started.slice(20, 24).filter((name) => name.startsWith('late b')).length, 2);
  });

  it('leave the room that they may not take to others', async () => {
    const { enter, drain, started } = world(2, { a: wide, b: { ...wide, maxRunning: 1 } });
    for (const name of ['b1', 'b2', 'b3']) enter('b', 'y', name);
    await settled();
    assert.deepEqual(started, ['b1']);
    enter('a', 'x', 'a1');
    await settled();
    assert.deepEqual(started, ['b1', 'a1']);
    await drain();
    assert.deepEqual(started, ['b1', 'a1', 'b2', 'b3']);
  });
});

it('work that fails gives its turn to the next, and its caller the error', async () => {
  const semaphore = createSemaphore({
    concurrency: 1,
    lanes: { a: wide },
    createFullError: () => new Error('no room'),
  });
  const place = { lane: 'a', source: 'x' } as const;
  const broken = semaphore.run(place, () => Promise.reject(new Error('broken')));
  const next = semaphore.run(place, async () => 'done');
  await assert.rejects(broken, /broken/);
  assert.equal(await next, 'done');
});
