/**
 * The primary of several workers. It runs no user code and answers no request of a user: it forks, supervises and
 * replaces workers, decides on permits for all of them, and knows what they say of themselves.
 *
 *     SIGHUP  -> reload ----.                                .-> rolling-reload.ts
 *     a worn worker --------+-> one exchange after another --+-> recycle
 *                                                            |
 *     SIGTTIN, SIGTTOU -> resize ---------------------------> worker-pool.ts: as many as are wanted
 *     every second: silence.ts kills the silent ------------>   |
 *                                                               '-> supervised-worker.ts: one process and its state
 *                                                                                 ^
 *     start, SIGHUP, stop: job-process.ts, the one that runs jobs -----------------'
 *
 * What survives: the permits, and the counts of workers that ended, live here and outlast every worker. A worker
 * whose primary is gone ends by itself (`worker.ts`). The primary's own code and the few settings that are its own are
 * those of its start; a reload renews the workers only, and the process of the jobs first: it has to know new tasks
 * before somebody enqueues them.
 */

import type { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import { StartError } from '../errors.ts';
import type { PrimaryLimits } from '../limits/primary-limits.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import type { Fleet } from './fleet.ts';
import { createFleetMetrics } from './fleet-metrics.ts';
import { readinessOf } from './fleet-readiness.ts';
import { returnLostConnections } from './hand-over.ts';
import { createJobProcess, type JobProcess } from './job-process.ts';
import type { ToPrimary } from './messages.ts';
import { wearOf } from './recycling.ts';
import { countRestarts } from './restart-counter.ts';
import { replaceAll } from './rolling-reload.ts';
import { watchSilence } from './silence.ts';
import { type SupervisedWorker, superviseWorker } from './supervised-worker.ts';
import { createWorkerPool, type Version } from './worker-pool.ts';
import { workerStates } from './worker-state.ts';

/** What a reload can change. Times are in milliseconds. */
export interface SupervisionTerms {
  readonly workers: number;
  readonly startTimeoutMs: number;
  /** How long a worker may drain while others take over, and when everything stops. */
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** How long a worker may be silent. */
  readonly silenceMs: number;
  readonly canaryMs: number;
  /** Requests after which a worker is replaced, and how many more at random; 0 for never. */
  readonly maxRequests: number;
  readonly maxRequestsJitter: number;
  /** Resident memory above which a worker is replaced; 0 for none. */
  readonly maxMemoryBytes: number;
}

export interface PrimaryOptions {
  readonly terms: SupervisionTerms;
  /** Finds the terms of a reload, and makes ready what new workers need. Rejects with a StartError to refuse it. */
  readonly renewTerms: () => Promise<SupervisionTerms>;
  readonly log: Logger;
  /** The permits of all workers. */
  readonly limits: PrimaryLimits;
  /** What the primary itself counts. */
  readonly metrics: Metrics;
  /** Keeps the program as it is on disk now, so that its processes can be started later too. */
  readonly keepProgram: () => Program;
  /** Whether there is a process that runs jobs. */
  readonly hasJobs: boolean;
}

/** One version of the program. */
export interface Program {
  /** The file and the arguments of a worker. */
  worker(): { readonly entry: string; readonly args: readonly string[] };
  /** Makes a process that runs jobs. Throws the system's error if there is no room for one. */
  spawnJobs(): ChildProcess;
  /** No process of this version is started any more. */
  discard(): void;
}

export interface Primary {
  readonly fleet: Fleet;
  /**
   * Forks the workers, and when they answer, the process of the jobs; they get the URL. Resolves with the workers'
   * address, or rejects with a StartError.
   */
  start(databaseUrl: string | null): Promise<string>;
  /** Replaces all workers, one after the other. While one reload runs, one more can wait. */
  reload(): void;
  /** Wants so many workers more, or fewer; never fewer than one. */
  resize(by: number): void;
  /** Drains all processes at the same time and waits for their end. Idempotent. */
  stop(): Promise<void>;
  /** Ends all processes at once. */
  kill(): void;
}

const tickMs = 1_000;

/** How often leases are looked through, in milliseconds. */
const sweepMs = 25;

/** After a recycling that failed, the next one waits for this long, in milliseconds. */
const recyclePauseMs = 30_000;

export function createPrimary(options: PrimaryOptions): Primary {
  const { log, limits, metrics } = options;
  const pool = createWorkerPool({ wanted: options.terms.workers, log, fork });
  const fleetMetrics = createFleetMetrics(metrics, () => [...pool.workers, ...(jobs?.processes ?? [])]);
  const jobs: JobProcess | undefined = options.hasJobs
    ? createJobProcess({ ...options, spawn: (version) => programs[version].spawnJobs(), fleetMetrics })
    : undefined;
  const first = options.keepProgram();
  /** `new` is what a reload tries; at other times both are the same. */
  let programs: Readonly<Record<Version, Program>> = { good: first, new: first };
  const requestBudgets = new WeakMap<SupervisedWorker, number>();
  let terms = options.terms;
  let databaseUrl: string | null = null;
  let endTimers = () => {};
  /** Exchanges run one after the other. */
  let lastExchange: Promise<void> = Promise.resolve();
  let exchanges = 0;
  let reloads = 0;
  let isReloadWaiting = false;
  let recycleNotBefore = 0;

  const restarts = countRestarts(metrics, {
    name: 'worker_restarts_total',
    help: 'Workers that ended and were replaced, by the reason of their end.',
  });
  observeStates();

  const reportsOf = (workers: Iterable<SupervisedWorker>) => Array.from(workers, (worker) => worker.report());

  function fork(generation: number, version: Version): SupervisedWorker {
    const hasOther = () =>
      [...pool.workers].some(
        (other) =>
          other !== worker && other.state === 'ready' && cluster.workers?.[other.id]?.isConnected() === true,
      );
    const worker: SupervisedWorker = superviseWorker({
      ...terms,
      kind: 'requests',
      spawn: () => forkWorker(programs[version], hasOther),
      generation,
      log,
      onMessage: (message) => receive(worker, message),
    });
    const permits = limits.connect({
      answer: (answer) => worker.tell({ kind: 'decision', ...answer }),
      recall: (lease) => worker.tell({ kind: 'recall', lease }),
    });
    function receive(from: SupervisedWorker, message: ToPrimary): void {
      if (message.kind === 'take') permits.ask(message);
      else if (message.kind === 'settle') permits.settle(message);
      else if (message.kind === 'limit') permits.define(message);
      else if (message.kind === 'hello') from.tell({ kind: 'begin', databaseUrl });
      else if (message.kind === 'metrics') fleetMetrics.receive(from, message.id, message.snapshot);
      else if (message.kind === 'collect') void answerCollect(from, message.id);
    }
    const { maxRequests, maxRequestsJitter } = terms;
    const jitter = Math.floor(Math.random() * (maxRequestsJitter + 1));
    requestBudgets.set(worker, maxRequests === 0 ? 0 : maxRequests + jitter);
    void worker.ended.then(({ reason }) => {
      permits.close();
      fleetMetrics.archive(worker);
      restarts.get(reason)?.add();
    });
    return worker;
  }

  async function answerCollect(worker: SupervisedWorker, id: number): Promise<void> {
    worker.tell({ kind: 'collected', id, snapshot: await fleetMetrics.collect() });
  }

  function observeStates(): void {
    const gauge = metrics.gauge({ name: 'workers', help: 'Worker processes by state.', labels: ['state'] });
    metrics.onCollect(() => {
      for (const state of workerStates) {
        if (state === 'ended') continue;
        gauge.of(state).set([...pool.workers].filter((worker) => worker.state === state).length);
      }
    });
  }

  function recycleWorn(): void {
    if (exchanges > 0 || performance.now() < recycleNotBefore) return;
    const { maxMemoryBytes } = terms;
    for (const worker of pool.workers) {
      const maxRequests = requestBudgets.get(worker) ?? 0;
      const wear = wearOf(worker.report(), { maxRequests, maxMemoryBytes });
      if (wear === undefined) continue;
      enqueue(() => recycle(worker, wear));
      return;
    }
  }

  async function recycle(worn: SupervisedWorker, wear: string): Promise<void> {
    const { id, pid, requests, rssBytes } = worn.report();
    const error = await pool.exchange('good', async ({ fork, accept, trim }) => {
      const fresh = fork();
      const started = await fresh.started;
      if ('error' in started) return started.error;
      accept(fresh);
      trim('recycled', worn);
      return undefined;
    });
    if (pool.isStopping) return;
    if (error === undefined) {
      log.info('worker.recycled', { worker: id, pid, wear, requests, rss_bytes: rssBytes });
      await worn.ended;
    } else {
      recycleNotBefore = performance.now() + recyclePauseMs;
      log.error('worker.failed', { recycling: id, message: error });
    }
  }

  async function reload(): Promise<void> {
    isReloadWaiting = false;
    if (pool.isStopping) return;
    reloads += 1;
    const number = reloads;
    log.info('reload.started', { reload: number, workers: pool.wanted });
    let renewed: SupervisionTerms;
    try {
      renewed = await options.renewTerms();
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      log.error('reload.refused', {
        reload: number,
        message: error.message,
        advice: 'The workers serve on as they are.',
      });
      return;
    }
    const old = [...pool.workers, ...(jobs?.processes ?? [])];
    // Unless the settings say another number than before, what SIGTTIN and SIGTTOU made of it stays.
    const workers = renewed.workers === terms.workers ? pool.wanted : renewed.workers;
    terms = renewed;
    const { good } = programs;
    const tried = options.keepProgram();
    programs = { good, new: tried };
    const error =
      (await jobs?.replace(terms)) ?? (await replaceAll(pool, { workers, canaryMs: terms.canaryMs }));
    const isGood = error === undefined;
    programs = isGood ? { good: tried, new: tried } : { good, new: good };
    if (!isGood) tried.discard();
    if (pool.isStopping) return;
    if (error !== undefined) {
      log.error('reload.failed', {
        reload: number,
        message: error,
        advice: 'The workers that are left serve on.',
      });
      return;
    }
    await Promise.all(old.map(({ ended }) => ended));
    good.discard();
    log.info('reload.completed', { reload: number, workers: pool.wanted });
  }

  /** Requests are answered already while the jobs' process starts; if it must not, they are not any more. */
  async function startBeside(job: JobProcess, url: string): Promise<void> {
    try {
      await job.start(url);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async function stop(): Promise<void> {
    await Promise.all([pool.stop(), jobs?.stop()]);
    endTimers();
  }

  /** What fails here is a fault of the primary; it has done no harm to the workers. */
  function enqueue(exchange: () => Promise<void>): void {
    exchanges += 1;
    lastExchange = lastExchange
      .then(exchange)
      .catch((error: unknown) => log.error('reload.failed', { error }))
      .finally(() => {
        exchanges -= 1;
      });
  }

  return {
    fleet: {
      reports: () => reportsOf([...pool.workers, ...(jobs?.processes ?? [])]),
      readiness: async () => readinessOf(reportsOf(pool.workers), pool.isStopping),
      collectMetrics: fleetMetrics.collect,
    },
    async start(url) {
      databaseUrl = url;
      const endWatch = watchSilence({ workers: pool.workers, silenceMs: () => terms.silenceMs, log });
      const timers = [setInterval(recycleWorn, tickMs), setInterval(limits.sweep, sweepMs)];
      endTimers = () => {
        endWatch();
        for (const timer of timers) clearInterval(timer);
      };
      const address = await pool.start();
      if (url !== null && jobs !== undefined) await startBeside(jobs, url);
      return address;
    },
    reload() {
      if (isReloadWaiting || pool.isStopping) return;
      isReloadWaiting = true;
      enqueue(reload);
    },
    resize(by) {
      if (pool.isStopping) return;
      pool.resize(pool.wanted + by);
      log.info('fleet.resized', { workers: pool.wanted });
    },
    stop,
    kill() {
      pool.kill();
      jobs?.kill();
      for (const program of Object.values(programs)) program.discard();
    },
  };
}

/** Node would throw what goes wrong with a process if nobody listened at its worker; we listen at the process. */
function forkWorker(
  program: Program,
  hasOther: () => boolean,
): { readonly id: number; readonly child: ChildProcess } {
  const { entry, args } = program.worker();
  cluster.setupPrimary({ exec: entry, args: [...args] });
  const worker = cluster.fork();
  worker.on('error', () => {});
  returnLostConnections(worker.process, hasOther);
  return { id: worker.id, child: worker.process };
}
