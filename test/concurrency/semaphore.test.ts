import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { createDeferred, type Deferred } from '../../src/concurrency/deferred.ts';
import { createSemaphore, type Lane } from '../../src/concurrency/semaphore.ts';

const wide: Lane = { maxRunning: 10, maxWaiting: 100, weight: 1 };

/** Creates a semaphore and records its work, which runs until the test finishes it. */
function createRecorder(concurrency: number, lanes: { readonly a: Lane; readonly b: Lane }) {
  const semaphore = createSemaphore({ concurrency, lanes, createFullError: () => new Error('no room') });
  const started: string[] = [];
  const rejected: string[] = [];
  const ends = new Map<string, Deferred<void>>();
  const run = (lane: 'a' | 'b', source: string, name: string) => {
    const end = createDeferred();
    ends.set(name, end);
    semaphore
      .run({ lane, source }, () => {
        started.push(name);
        return end.promise;
      })
      .catch(() => rejected.push(name));
  };
  /** Ends the work that started first, one after the other, until none waits. */
  const drain = async () => {
    for (let nth = 0; nth < started.length; nth += 1) {
      ends.get(started[nth] ?? '')?.resolve();
      await nextLoop();
    }
  };
  return { run, drain, started, rejected };
}

describe('the sources of a lane', () => {
  it('sources are served round robin, so a new source does not wait for all work of another one', async () => {
    const { run, drain, started } = createRecorder(1, { a: wide, b: wide });
    for (const name of ['x1', 'x2', 'x3', 'x4']) run('a', 'x', name);
    run('a', 'y', 'y1');
    await nextLoop();
    await drain();
    assert.deepEqual(started, ['x1', 'x2', 'y1', 'x3', 'x4']);
  });

  it('a source cannot fill its lane for others: the newest work of the longest queue is rejected instead', async () => {
    const { run, drain, started, rejected } = createRecorder(1, { a: { ...wide, maxWaiting: 3 }, b: wide });
    for (const name of ['x1', 'x2', 'x3', 'x4', 'x5']) run('a', 'x', name);
    await nextLoop();
    assert.deepEqual(rejected, ['x5']);
    run('a', 'y', 'y1');
    run('a', 'y', 'y2');
    await nextLoop();
    assert.deepEqual(rejected, ['x5', 'x4', 'y2']);
    await drain();
    assert.deepEqual(started, ['x1', 'x2', 'y1', 'x3']);
  });
});

describe('the lanes', () => {
  it('waiting lanes are served in proportion to their weights, and none starves', async () => {
    const { run, drain, started } = createRecorder(1, { a: { ...wide, weight: 3 }, b: wide });
    for (let nth = 0; nth < 12; nth += 1) {
      run('a', 'x', `a${nth}`);
      run('b', 'y', `b${nth}`);
    }
    await nextLoop();
    await drain();
    assert.equal(started.slice(0, 12).filter((name) => name.startsWith('a')).length, 9);
    assert.equal(started.length, 24);
  });

  it('a lane that was idle gets no credit for that time', async () => {
    const { run, drain, started } = createRecorder(1, { a: wide, b: wide });
    for (let nth = 0; nth < 20; nth += 1) run('a', 'x', `a${nth}`);
    await nextLoop();
    await drain();
    for (let nth = 0; nth < 4; nth += 1) {
      run('a', 'x', `late a${nth}`);
      run('b', 'y', `late b${nth}`);
    }
    await nextLoop();
    await drain();
    assert.equal(started.slice(20, 24).filter((name) => name.startsWith('late b')).length, 2);
  });

  it('a lane at its maximum leaves the remaining capacity to others', async () => {
    const { run, drain, started } = createRecorder(2, { a: wide, b: { ...wide, maxRunning: 1 } });
    for (const name of ['b1', 'b2', 'b3']) run('b', 'y', name);
    await nextLoop();
    assert.deepEqual(started, ['b1']);
    run('a', 'x', 'a1');
    await nextLoop();
    assert.deepEqual(started, ['b1', 'a1']);
    await drain();
    assert.deepEqual(started, ['b1', 'a1', 'b2', 'b3']);
  });
});

it('work that fails frees its place, and its error reaches its caller', async () => {
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
