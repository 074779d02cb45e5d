/**
 * As many workers as are wanted, whatever happens to single ones.
 *
 * There is one rule, and it is applied after every event: if fewer workers live than are wanted, fork; if more are
 * ready than are wanted, drain the surplus, those with old code first, then the oldest.
 *
 * While an exchange is under way (a reload, a recycling) it forks and trims by itself. The workers that it has forked are
 * candidates until it accepts them, and do not count: a worker that dies while a candidate starts, hangs or is watched
 * is replaced at once, by the version that is known to be good. The version of a reload becomes that only when the whole
 * reload has succeeded.
 *
 * Invariants: a ready worker is told to drain only while as many others as are wanted are ready; after `stop` nothing
 * is forked; a worker that keeps dying is replaced later and later (`restart-delay.ts`).
 */

import { StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { createRestartDelay } from './restart-delay.ts';
import type { Started, SupervisedWorker, WorkerEnd } from './supervised-worker.ts';
import { isUnplanned, type WorkerEndReason } from './worker-state.ts';

export interface WorkerPoolOptions {
  readonly wanted: number;
  readonly log: Logger;
  /** Makes a process. Throws the system's error if there is no room for one. */
  readonly fork: (generation: number, version: Version) => SupervisedWorker;
}

/** `good`: what is known to work. `new`: what a reload tries. */
export type Version = 'good' | 'new';

/** What an exchange may do. */
export interface Exchange {
  /** Forks one worker more than are wanted. Throws the system's error if there is no room for one. */
  fork(): SupervisedWorker;
  /** Counts a worker that this exchange has forked among those that are wanted. */
  accept(worker: SupervisedWorker): void;
  /** Drains what is ready beyond the number wanted, `worn` first. */
  trim(reason: WorkerEndReason, worn?: SupervisedWorker): void;
}

export interface WorkerPool {
  readonly workers: ReadonlySet<SupervisedWorker>;
  /** How many are wanted. */
  readonly wanted: number;
  readonly isStopping: boolean;
  /** Forks all and resolves with their address when all are ready. Rejects with a StartError if one cannot. */
  start(): Promise<string>;
  /** Wants another number of workers from now on, at least one. */
  resize(wanted: number): void;
  /**
   * Exchanges workers. What `work` forks is the version that is known to be good, or with `version: 'new'` another one,
   * which is known to be good once `work` has resolved with undefined.
   */
  exchange<T>(version: Version, work: (exchange: Exchange) => Promise<T>): Promise<T>;
  /** Drains all and waits for their end. Idempotent. */
  stop(): Promise<void>;
  /** Ends all at once, without waiting. */
  kill(): void;
}

/** From so many deaths in a row on, the log calls it a loop. */
const loopDeaths = 3;

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { log } = options;
  const workers = new Set<SupervisedWorker>();
  const restartDelay = createRestartDelay();
  let { wanted } = options;
  let goodGeneration = 1;
  let lastGeneration = 1;
  const candidates = new Set<SupervisedWorker>();
  let phase: 'starting' | 'running' | 'stopping' = 'starting';
  let isExchanging = false;
  let wantedBefore = wanted;
  let forkNotBefore = 0;
  let timer: NodeJS.Timeout | undefined;

  const inState = (...states: readonly string[]) =>
    [...workers].filter(({ state }) => states.includes(state));

  const living = () => inState('starting', 'ready').filter((worker) => !candidates.has(worker)).length;

  /** An exchange brings up by itself what a reload wants more. */
  const needed = () => (isExchanging ? Math.min(wanted, wantedBefore) : wanted);

  function fork(version: Version = 'good'): SupervisedWorker {
    const worker = options.fork(version === 'good' ? goodGeneration : lastGeneration, version);
    workers.add(worker);
    void worker.started.then(settle);
    void worker.ended.then((end) => onEnd(worker, end));
    return worker;
  }

  function onEnd(worker: SupervisedWorker, { reason, readyMs }: WorkerEnd): void {
    workers.delete(worker);
    // What a reload tries is not tried again, so its end delays no other.
    const wasCandidate = candidates.delete(worker);
    if (phase === 'running' && isUnplanned(reason) && !wasCandidate) delayForks(readyMs);
    settle();
  }

  function delayForks(readyMs: number): void {
    const { delayMs, deathsInRow } = restartDelay.afterDeath(readyMs);
    forkNotBefore = performance.now() + delayMs;
    if (deathsInRow < loopDeaths) return;
    const advice = 'Workers die soon after their start: see why in the log, mend it, and reload.';
    log.error('worker.restart_delayed', { deaths: deathsInRow, delay_ms: delayMs, advice });
  }

  /** The rule. */
  function settle(): void {
    if (phase !== 'running') return;
    if (!isExchanging) trim('removed');
    clearTimeout(timer);
    if (living() < needed()) {
      timer = setTimeout(forkMissing, Math.max(0, forkNotBefore - performance.now()));
    }
  }

  function forkMissing(): void {
    if (phase !== 'running') return;
    try {
      while (living() < needed()) fork();
    } catch (error) {
      log.error('worker.failed', { error });
      delayForks(0);
      settle();
    }
  }

  function trim(reason: WorkerEndReason, worn?: SupervisedWorker): void {
    const ready = inState('ready').sort(
      (a, b) => Number(b === worn) - Number(a === worn) || a.generation - b.generation || a.id - b.id,
    );
    for (const worker of ready.slice(0, Math.max(0, ready.length - wanted))) worker.drain(reason);
  }

  async function start(): Promise<string> {
    const starts: Promise<Started>[] = [];
    while (workers.size < wanted) starts.push(fork().started);
    const url = await Promise.all(starts.map(urlOf)).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    if (phase === 'starting') phase = 'running';
    settle();
    return url[0] ?? '';
  }

  let stopped: Promise<void> | undefined;
  function stop(): Promise<void> {
    phase = 'stopping';
    clearTimeout(timer);
    stopped ??= Promise.all(
      Array.from(workers, (worker) => {
        worker.drain('stopped');
        return worker.ended;
      }),
    ).then(() => undefined);
    return stopped;
  }

  return {
    workers,
    get wanted() {
      return wanted;
    },
    get isStopping() {
      return phase === 'stopping';
    },
    start,
    resize(given) {
      wanted = Math.max(1, given);
      settle();
    },
    async exchange(version, work) {
      isExchanging = true;
      wantedBefore = wanted;
      if (version === 'new') lastGeneration += 1;
      try {
        const result = await work({
          fork() {
            const worker = fork(version);
            candidates.add(worker);
            return worker;
          },
          accept: (worker) => void candidates.delete(worker),
          trim,
        });
        if (result === undefined && version === 'new') goodGeneration = lastGeneration;
        return result;
      } finally {
        candidates.clear();
        isExchanging = false;
        settle();
      }
    },
    stop,
    kill() {
      for (const worker of workers) worker.kill('stopped');
    },
  };
}

async function urlOf(start: Promise<Started>): Promise<string> {
  const started = await start;
  if ('error' in started) throw new StartError(started.error);
  return started.url;
}
