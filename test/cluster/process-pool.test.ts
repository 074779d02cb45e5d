/** Tests of the pool and the rolling reload with simulated workers, whose events come in any order. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createProcessPool, type ProcessPool, type Version } from '../../src/cluster/process-pool.ts';
import { nextState, type ProcessEndReason, type ProcessState } from '../../src/cluster/process-state.ts';
import { replaceAll } from '../../src/cluster/rolling-reload.ts';
import type { ProcessEnd, StartResult, SupervisedProcess } from '../../src/cluster/supervised-process.ts';
import { captureLog } from '../helpers/captured-log.ts';

interface SimulatedWorker extends SupervisedProcess {
  becomeReady(): void;
  exit(reason?: ProcessEndReason): void;
}

interface Simulation {
  readonly pool: ProcessPool;
  readonly workers: SimulatedWorker[];
  /** The version of each worker. */
  readonly versions: Version[];
  inState(...states: ProcessState[]): SimulatedWorker[];
  /** Runs everything that waits for a promise, and timers of the next three minutes. */
  advance(): Promise<void>;
}

function simulate(t: Pick<TestContext, 'mock'>, size: number): Simulation {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const workers: SimulatedWorker[] = [];
  const versions: Version[] = [];
  const pool = createProcessPool({
    size,
    log: captureLog().log,
    fork(generation, version) {
      versions.push(version);
      const worker = simulateWorker(workers.length + 1, generation, () => {
        const ready = workers.filter(({ state }) => state === 'ready').length;
        // The invariant of the pool: no worker drains that is needed.
        assert.ok(pool.isStopping || ready >= pool.size, `${ready} ready of ${pool.size}`);
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
    async advance() {
      for (let step = 0; step < 3; step += 1) {
        for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
        now += 60_000;
        t.mock.timers.tick(60_000);
      }
    },
  };
}

function simulateWorker(id: number, generation: number, onDrained: () => void): SimulatedWorker {
  let state: ProcessState = 'starting';
  let reason: ProcessEndReason = 'crashed';
  let resolveStarted: (result: StartResult) => void = () => {};
  let resolveEnded: (end: ProcessEnd) => void = () => {};
  const transition = (event: Parameters<typeof nextState>[1]) => {
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
    lastHeartbeatAt: 0,
    started: new Promise((resolve) => {
      resolveStarted = resolve;
    }),
    ended: new Promise((resolve) => {
      resolveEnded = resolve;
    }),
    report: () => assert.fail('the pool reads no report'),
    send: () => {},
    drain(why) {
      const wasReady = state === 'ready';
      if (!transition('drain')) return;
      reason = why;
      if (wasReady) onDrained();
    },
    kill: (why) => {
      if (transition('timeout')) reason = why;
    },
    becomeReady() {
      if (transition('ready')) resolveStarted({ url: 'http://x' });
    },
    exit(why = reason) {
      if (!transition('exit')) return;
      resolveStarted({ error: 'It exited.' });
      resolveEnded({ reason: why, readyMs: 0 });
    },
  };
}

/** Lets each starting worker become ready and each draining one exit, until nothing changes any more. */
async function runToRest({ inState, advance }: Simulation): Promise<void> {
  for (let round = 0; round < 30; round += 1) {
    for (const worker of inState('starting')) worker.becomeReady();
    for (const worker of inState('draining', 'killed')) worker.exit();
    await advance();
  }
}

describe('a process pool', () => {
  it('a pool returns to its size after any order of events, and drains no worker that is needed', async (t) => {
    const event = fc.record({
      what: fc.constantFrom('ready', 'exit', 'grow', 'shrink', 'reload', 'advance'),
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
          else if (what === 'grow') pool.resize(Math.min(6, pool.size + 1));
          else if (what === 'shrink') pool.resize(pool.size - 1);
          else if (what === 'advance') await simulation.advance();
          else reloads = reloads.then(() => replaceAll(pool, { size: pool.size, canaryMs: 1_000 }));
        }
        await runToRest(simulation);
        await reloads;
        await runToRest(simulation);
        assert.equal(inState('ready').length, pool.size);
        assert.equal(pool.processes.size, pool.size);
      }),
      { numRuns: 60 },
    );
  });

  it('a pool forks nothing after stop()', async (t) => {
    const simulation = simulate(t, 2);
    const { pool, workers, inState, advance } = simulation;
    const start = pool.start();
    for (const worker of workers) worker.becomeReady();
    await start;
    const stopped = pool.stop();
    assert.equal(inState('draining').length, 2);
    for (const worker of workers) worker.exit('crashed');
    await stopped;
    await advance();
    assert.equal(workers.length, 2);
  });

  it('start() rejects with the reason and stops all workers when one of them cannot start', async (t) => {
    const { pool, workers, inState } = simulate(t, 2);
    const start = pool.start();
    const [first, second] = workers;
    first?.becomeReady();
    second?.exit();
    await Promise.resolve();
    setImmediate(() => first?.exit());
    await assert.rejects(start, /It exited/);
    assert.equal(inState('ended').length, 2);
  });
});

describe('a rolling reload', () => {
  it('a reload drains no worker before the canary has stayed up, and keeps the size of the pool if the canary dies', async (t) => {
    const { pool, workers, inState, advance } = simulate(t, 2);
    const start = pool.start();
    for (const worker of workers) worker.becomeReady();
    await start;
    const reload = replaceAll(pool, { size: 4, canaryMs: 200_000 });
    workers[2]?.becomeReady();
    await advance();
    assert.deepEqual(
      inState('ready').map(({ id }) => id),
      [1, 2, 3],
    );
    workers[2]?.exit();
    assert.match(String(await reload), /process 3 exited soon/);
    assert.equal(pool.size, 2);
    assert.deepEqual(
      inState('ready').map(({ id }) => id),
      [1, 2],
    );
  });

  for (const [what, canary] of [
    ['starts', (_canary?: SimulatedWorker) => {}],
    ['is observed', (worker?: SimulatedWorker) => worker?.becomeReady()],
  ] as const) {
    it(`an old worker that dies while the canary ${what} is replaced by one of the stable version`, async (t) => {
      const { pool, workers, versions, inState, advance } = simulate(t, 2);
      const start = pool.start();
      for (const worker of workers) worker.becomeReady();
      await start;
      const reload = replaceAll(pool, { size: 2, canaryMs: 10_000_000 });
      canary(workers[2]);
      for (const dead of [workers[0], workers[1]]) {
        dead?.exit('crashed');
        await advance();
      }
      assert.deepEqual(versions, ['stable', 'stable', 'candidate', 'stable', 'stable']);
      for (const worker of workers.slice(3)) worker.becomeReady();
      workers[2]?.exit('late');
      assert.match(String(await reload), /exited/);
      await advance();
      assert.deepEqual(
        inState('starting', 'ready').map(({ id, generation }) => [id, generation]),
        [
          [4, 1],
          [5, 1],
        ],
      );
    });
  }

  it('the version of a reload that succeeded is the stable one', async (t) => {
    const simulation = simulate(t, 1);
    const { pool, workers, versions, inState, advance } = simulation;
    const start = pool.start();
    workers[0]?.becomeReady();
    await start;
    const reload = replaceAll(pool, { size: 1, canaryMs: 1_000 });
    workers[1]?.becomeReady();
    await advance();
    assert.equal(await reload, undefined);
    workers[1]?.exit('crashed');
    await advance();
    assert.deepEqual(versions, ['stable', 'candidate', 'stable']);
    assert.deepEqual(
      inState('starting').map(({ generation }) => generation),
      [2],
    );
  });
});
