/** The pool and the rolling reload over workers that are simulated, in any order of their events. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { replaceAll } from '../../src/cluster/rolling-reload.ts';
import type { Started, SupervisedWorker, WorkerEnd } from '../../src/cluster/supervised-worker.ts';
import { createWorkerPool, type Version, type WorkerPool } from '../../src/cluster/worker-pool.ts';
import { nextState, type WorkerEndReason, type WorkerState } from '../../src/cluster/worker-state.ts';
import { captureLog } from '../helpers/captured-log.ts';

interface SimulatedWorker extends SupervisedWorker {
  becomeReady(): void;
  exit(reason?: WorkerEndReason): void;
}

interface Simulation {
  readonly pool: WorkerPool;
  readonly workers: SimulatedWorker[];
  /** The version of each worker. */
  readonly versions: Version[];
  inState(...states: WorkerState[]): SimulatedWorker[];
  /** Lets everything happen that waits for a promise or, within a minute, for a timer. */
  settle(): Promise<void>;
}

function simulate(t: Pick<TestContext, 'mock'>, wanted: number): Simulation {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const workers: SimulatedWorker[] = [];
  const versions: Version[] = [];
  const pool = createWorkerPool({
    wanted,
    log: captureLog().log,
    fork(generation, version) {
      versions.push(version);
      const worker = simulateWorker(workers.length + 1, generation, () => {
        const ready = workers.filter(({ state }) => state === 'ready').length;
        // The promise of the pool: nobody drains who is needed.
        assert.ok(pool.isStopping || ready >= pool.wanted, `${ready} ready of ${pool.wanted}`);
      });
      workers.push(worker);
      return worker;
    },
  });
  return {
    pool,
    workers,
    versions,
    inState: (...states) => workers.filter(({ state }) => states.includes(state)),
    async settle() {
      for (let step = 0; step < 3; step += 1) {
        for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
        now += 60_000;
        t.mock.timers.tick(60_000);
      }
    },
  };
}

function simulateWorker(id: number, generation: number, onDrained: () => void): SimulatedWorker {
  let state: WorkerState = 'starting';
  let reason: WorkerEndReason = 'crashed';
  let settleStarted: (started: Started) => void = () => {};
  let settleEnded: (end: WorkerEnd) => void = () => {};
  const enter = (event: Parameters<typeof nextState>[1]) => {
    const next = nextState(state, event);
    state = next ?? state;
    return next !== undefined;
  };
  return {
    id,
    generation,
    get state() {
      return state;
    },
    heardAt: 0,
    started: new Promise((resolve) => {
      settleStarted = resolve;
    }),
    ended: new Promise((resolve) => {
      settleEnded = resolve;
    }),
    report: () => assert.fail('nobody asks'),
    tell: () => {},
    drain(why) {
      const wasReady = state === 'ready';
      if (!enter('drain')) return;
      reason = why;
      if (wasReady) onDrained();
    },
    kill: (why) => {
      if (enter('timeout')) reason = why;
    },
    becomeReady() {
      if (enter('ready')) settleStarted({ url: 'http://x' });
    },
    exit(why = reason) {
      if (!enter('exit')) return;
      settleStarted({ error: 'It ended.' });
      settleEnded({ reason: why, readyMs: 0 });
    },
  };
}

/** Forks come true, and who was told to go has gone, until nothing happens any more. */
async function calmDown({ inState, settle }: Simulation): Promise<void> {
  for (let round = 0; round < 30; round += 1) {
    for (const worker of inState('starting')) worker.becomeReady();
    for (const worker of inState('draining', 'killed')) worker.exit();
    await settle();
  }
}

describe('a pool of workers', () => {
  it('comes back to the number wanted after any order of events, and drains nobody who is needed', async (t) => {
    const event = fc.record({
      what: fc.constantFrom('ready', 'exit', 'grow', 'shrink', 'reload', 'settle'),
      which: fc.nat({ max: 7 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
        t.mock.reset();
        const simulation = simulate(t, 3);
        const { pool, inState } = simulation;
        const start = pool.start();
        for (const worker of inState('starting')) worker.becomeReady();
        await start;
        let reloads: Promise<unknown> = Promise.resolve();
        for (const { what, which } of events) {
          const living = inState('starting', 'ready', 'draining', 'killed');
          const worker = living[which % living.length];
          if (what === 'ready') worker?.becomeReady();
          else if (what === 'exit') worker?.exit();
          else if (what === 'grow') pool.resize(Math.min(6, pool.wanted + 1));
          else if (what === 'shrink') pool.resize(pool.wanted - 1);
          else if (what === 'settle') await simulation.settle();
          else reloads = reloads.then(() => replaceAll(pool, { workers: pool.wanted, canaryMs: 1_000 }));
        }
        await calmDown(simulation);
        await reloads;
        await calmDown(simulation);
        assert.equal(inState('ready').length, pool.wanted);
        assert.equal(pool.workers.size, pool.wanted);
      }),
      { numRuns: 60 },
    );
  });

  it('forks nothing after it was told to stop', async (t) => {
    const simulation = simulate(t, 2);
    const { pool, workers, inState, settle } = simulation;
    const start = pool.start();
    for (const worker of workers) worker.becomeReady();
    await start;
    const stopped = pool.stop();
    assert.equal(inState('draining').length, 2);
    for (const worker of workers) worker.exit('crashed');
    await stopped;
    await settle();
    assert.equal(workers.length, 2);
  });

  it('ends all when one cannot start, and says why', async (t) => {
    const { pool, workers, inState } = simulate(t, 2);
    const start = pool.start();
    const [first, second] = workers;
    first?.becomeReady();
    second?.exit();
    await Promise.resolve();
    setImmediate(() => first?.exit());
    await assert.rejects(start, /It ended/);
    assert.equal(inState('ended').length, 2);
  });
});

describe('a rolling reload', () => {
  it('changes nothing before the canary has stayed up, not even the number wanted', async (t) => {
    const { pool, workers, inState, settle } = simulate(t, 2);
    const start = pool.start();
    for (const worker of workers) worker.becomeReady();
    await start;
    const reload = replaceAll(pool, { workers: 4, canaryMs: 200_000 });
    workers[2]?.becomeReady();
    await settle();
    assert.deepEqual(
      inState('ready').map(({ id }) => id),
      [1, 2, 3],
    );
    workers[2]?.exit();
    assert.match(String(await reload), /worker 3 ended soon/);
    assert.equal(pool.wanted, 2);
    assert.deepEqual(
      inState('ready').map(({ id }) => id),
      [1, 2],
    );
  });

  for (const [what, canary] of [
    ['starts', (_canary?: SimulatedWorker) => {}],
    ['is watched', (worker?: SimulatedWorker) => worker?.becomeReady()],
  ] as const) {
    it(`replaces each old worker that dies while the canary ${what} by one of the good version`, async (t) => {
      const { pool, workers, versions, inState, settle } = simulate(t, 2);
      const start = pool.start();
      for (const worker of workers) worker.becomeReady();
      await start;
      const reload = replaceAll(pool, { workers: 2, canaryMs: 10_000_000 });
      canary(workers[2]);
      for (const dead of [workers[0], workers[1]]) {
        dead?.exit('crashed');
        await settle();
      }
      assert.deepEqual(versions, ['good', 'good', 'new', 'good', 'good']);
      for (const worker of workers.slice(3)) worker.becomeReady();
      workers[2]?.exit('late');
      assert.match(String(await reload), /ended/);
      await settle();
      assert.deepEqual(
        inState('starting', 'ready').map(({ id, generation }) => [id, generation]),
        [
          [4, 1],
          [5, 1],
        ],
      );
    });
  }

  it('makes its version the good one when it has succeeded', async (t) => {
    const simulation = simulate(t, 1);
    const { pool, workers, versions, inState, settle } = simulation;
    const start = pool.start();
    workers[0]?.becomeReady();
    await start;
    const reload = replaceAll(pool, { workers: 1, canaryMs: 1_000 });
    workers[1]?.becomeReady();
    await settle();
    assert.equal(await reload, undefined);
    workers[1]?.exit('crashed');
    await settle();
    assert.deepEqual(versions, ['good', 'new', 'good']);
    assert.deepEqual(
      inState('starting').map(({ generation }) => generation),
      [2],
    );
  });
});
