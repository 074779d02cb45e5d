/**
 * A pool that keeps a desired number of processes alive.
 *
 * One rule is applied after every event: if fewer processes live than desired, fork; if more are ready than desired,
 * drain the surplus, those with old code first, then the oldest.
 *
 * During a replacement (a reload, a recycling) the replacement forks and drains instead. The processes that it forks are
 * candidates until it accepts them, and do not count: a process that dies while a candidate starts, hangs or is observed
 * is replaced at once, by the stable version. The version of a reload becomes the stable one only when the whole reload
 * has succeeded.
 *
 * Invariants: a ready process drains only while the desired number of others is ready; after `stop` nothing is forked;
 * a process that keeps dying is replaced after increasing delays (`restarts.ts`).
 */

import { StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { isUnplanned, type ProcessEndReason } from './process-state.ts';
import { createRestartDelay } from './restarts.ts';
import type { ProcessEnd, StartResult, SupervisedProcess } from './supervised-process.ts';

export interface ProcessPoolOptions {
  /** The desired number of processes. */
  readonly size: number;
  readonly log: Logger;
  /** Creates a process. Throws the system's error if no process can be created. */
  readonly fork: (generation: number, version: Version) => SupervisedProcess;
}

/** `stable`: the version that is known to work. `candidate`: the version that a reload tries. */
export type Version = 'stable' | 'candidate';

/** The operations on the pool that a reload or a recycling uses to replace processes. */
export interface Replacement {
  /** Forks one process more than desired. Throws the system's error if no process can be created. */
  fork(): SupervisedProcess;
  /** Counts a process that this replacement has forked towards the desired number. */
  accept(candidate: SupervisedProcess): void;
  /** Drains the ready processes beyond the desired number, `first` before all others. */
  drainSurplus(reason: ProcessEndReason, first?: SupervisedProcess): void;
}

export interface ProcessPool {
  readonly processes: ReadonlySet<SupervisedProcess>;
  /** The desired number of processes. */
  readonly size: number;
  readonly isStopping: boolean;
  /** Forks all processes, and resolves with their address when all are ready. Rejects with a StartError if one fails. */
  start(): Promise<string>;
  /** Sets the desired number, at least one. */
  resize(size: number): void;
  /**
   * Runs a replacement. The processes that `work` forks have the given version. A `candidate` version becomes the stable
   * one when `work` resolves with undefined; any other value is the reason why it does not.
   */
  replace<T>(version: Version, work: (replacement: Replacement) => Promise<T>): Promise<T>;
  /** Drains all processes and waits until they have exited. Idempotent. */
  stop(): Promise<void>;
  /** Kills all processes without waiting. */
  kill(): void;
}

/** From so many deaths in a row on, the log reports a crash loop. */
const crashLoopDeaths = 3;

export function createProcessPool(options: ProcessPoolOptions): ProcessPool {
  const { log } = options;
  const processes = new Set<SupervisedProcess>();
  const candidates = new Set<SupervisedProcess>();
  const restartDelay = createRestartDelay();
  let { size } = options;
  let stableGeneration = 1;
  let lastGeneration = 1;
  let phase: 'starting' | 'running' | 'stopping' = 'starting';
  let isReplacing = false;
  let sizeBefore = size;
  let forkNotBefore = 0;
  let timer: NodeJS.Timeout | undefined;

  const inState = (...states: readonly string[]) =>
    [...processes].filter(({ state }) => states.includes(state));

  const livingCount = () => inState('starting', 'ready').filter((each) => !candidates.has(each)).length;

  /** A reload that raises the number forks the additional processes itself. */
  const requiredCount = () => (isReplacing ? Math.min(size, sizeBefore) : size);

  function fork(version: Version = 'stable'): SupervisedProcess {
    const forked = options.fork(version === 'stable' ? stableGeneration : lastGeneration, version);
    processes.add(forked);
    void forked.started.then(applyRule);
    void forked.ended.then((end) => onEnd(forked, end));
    return forked;
  }

  function onEnd(ended: SupervisedProcess, { reason, readyMs }: ProcessEnd): void {
    processes.delete(ended);
    // A candidate is not forked again, so its death delays no other fork.
    const wasCandidate = candidates.delete(ended);
    if (phase === 'running' && isUnplanned(reason) && !wasCandidate) delayForks(readyMs);
    applyRule();
  }

  function delayForks(readyMs: number): void {
    const { delayMs, deathsInRow } = restartDelay.afterDeath(readyMs);
    forkNotBefore = performance.now() + delayMs;
    if (deathsInRow < crashLoopDeaths) return;
    const advice = 'Workers die soon after their start: find the cause in the log, fix it, and reload.';
    log.error('process.restart_delayed', { deaths: deathsInRow, delay_ms: delayMs, advice });
  }

  function applyRule(): void {
    if (phase !== 'running') return;
    if (!isReplacing) drainSurplus('removed');
    clearTimeout(timer);
    if (livingCount() < requiredCount()) {
      timer = setTimeout(forkMissing, Math.max(0, forkNotBefore - performance.now()));
    }
  }

  function forkMissing(): void {
    if (phase !== 'running') return;
    try {
      while (livingCount() < requiredCount()) fork();
    } catch (error) {
      log.error('process.failed', { error });
      delayForks(0);
      applyRule();
    }
  }

  function drainSurplus(reason: ProcessEndReason, first?: SupervisedProcess): void {
    const ready = inState('ready').sort(
      (a, b) => Number(b === first) - Number(a === first) || a.generation - b.generation || a.id - b.id,
    );
    for (const surplus of ready.slice(0, Math.max(0, ready.length - size))) surplus.drain(reason);
  }

  async function start(): Promise<string> {
    const starts: Promise<StartResult>[] = [];
    while (processes.size < size) starts.push(fork().started);
    const urls = await Promise.all(starts.map(urlOf)).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    if (phase === 'starting') phase = 'running';
    applyRule();
    return urls[0] ?? '';
  }

  let stopped: Promise<void> | undefined;
  function stop(): Promise<void> {
    phase = 'stopping';
    clearTimeout(timer);
    stopped ??= Promise.all(
      Array.from(processes, (each) => {
        each.drain('stopped');
        return each.ended;
      }),
    ).then(() => undefined);
    return stopped;
  }

  return {
    processes,
    get size() {
      return size;
    },
    get isStopping() {
      return phase === 'stopping';
    },
    start,
    resize(desired) {
      size = Math.max(1, desired);
      applyRule();
    },
    async replace(version, work) {
      isReplacing = true;
      sizeBefore = size;
      if (version === 'candidate') lastGeneration += 1;
      try {
        const result = await work({
          fork() {
            const candidate = fork(version);
            candidates.add(candidate);
            return candidate;
          },
          accept: (candidate) => void candidates.delete(candidate),
          drainSurplus,
        });
        if (result === undefined && version === 'candidate') stableGeneration = lastGeneration;
        return result;
      } finally {
        candidates.clear();
        isReplacing = false;
        applyRule();
      }
    },
    stop,
    kill() {
      for (const each of processes) each.kill('stopped');
    },
  };
}

async function urlOf(start: Promise<StartResult>): Promise<string> {
  const result = await start;
  if ('error' in result) throw new StartError(result.error);
  return result.url;
}
