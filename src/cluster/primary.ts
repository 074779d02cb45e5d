/**
 * The primary of several HTTP workers. It runs no code of requests: it forks, supervises and replaces workers, decides on
 * rate-limit permits for all of them, and collects their reports.
 *
 *     SIGHUP  -> reload -----.                                   .-> rolling-reload.ts
 *     a worker at its limit -+-> one replacement after another --+-> recycle
 *                                                                |
 *     SIGTTIN, SIGTTOU -> resize -----------------------> process-pool.ts: the desired number of processes
 *     every second: watchdog.ts kills blocked processes ------>  |
 *                                                                '-> supervised-process.ts: one process and its state
 *                                                                                 ^
 *     start, SIGHUP, stop: jobs-process.ts, the process that runs jobs ------------'
 *
 * The permits, and the counts of exited workers, are held here and outlast every worker. A worker whose primary is gone
 * exits by itself (`supervisor-channel.ts`). The code of the primary, and the few settings that it uses itself, stay those
 * of its start. A reload replaces the jobs process first, because it has to know new tasks before a worker enqueues them.
 */

import cluster from 'node:cluster';
import type { Invalidation } from '../cache/cache-store.ts';
import { StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import { type Fleet, fleetReadiness } from './fleet.ts';
import { createFleetMetrics } from './fleet-metrics.ts';
import { createJobsProcess, type JobsProcess } from './jobs-process.ts';
import type { ToSupervisor } from './messages.ts';
import { createProcessPool, type Version } from './process-pool.ts';
import { processStates } from './process-state.ts';
import { forkWorker, type ProgramVersion, type RenewedSupervision } from './program-version.ts';
import { recycleReason } from './recycling.ts';
import { createRestartCounters } from './restarts.ts';
import { replaceAll } from './rolling-reload.ts';
import { type SupervisedProcess, superviseProcess } from './supervised-process.ts';
import type { SupervisionOptions } from './supervision.ts';
import { startWatchdog } from './watchdog.ts';
import { connectWorker, type PrimaryServices } from './worker-services.ts';

export interface PrimaryOptions extends PrimaryServices {
  readonly supervision: SupervisionOptions;
  /**
   * Loads the settings of a reload, and prepares what the workers of this version need. Rejects with a StartError to reject
   * the reload.
   */
  readonly reloadSupervision: (candidate: ProgramVersion) => Promise<RenewedSupervision>;
  readonly log: Logger;
  /** The metrics of the primary itself. */
  readonly metrics: Metrics;
  /** Captures the program as it is on disk now, so that its processes can be started later too. */
  readonly captureProgram: () => ProgramVersion;
  /** Whether there is a jobs process. */
  readonly hasJobs: boolean;
}

export interface Primary {
  readonly fleet: Fleet;
  /**
   * Forks the workers, and when they are ready, the jobs process. Resolves with the address of the workers, or rejects with
   * a StartError.
   */
  start(databaseUrl: string | null): Promise<string>;
  /** Replaces all workers, one after the other. While one reload runs, one more can wait. */
  reload(): void;
  /** Changes the desired number of workers; it is never less than one. */
  resize(by: number): void;
  /** Drains all processes at the same time and waits until they have exited. Idempotent. */
  stop(): Promise<void>;
  /** Kills all processes at once. */
  kill(): void;
}

const recycleCheckMs = 1_000;

/** How often expired leases are collected, in milliseconds. */
const sweepMs = 25;

/** After a recycling that failed, the next one waits for so long, in milliseconds. */
const recyclePauseMs = 30_000;

export function createPrimary(options: PrimaryOptions): Primary {
  const { log, limits, loads, metrics } = options;
  const pool = createProcessPool({ size: options.supervision.workers, log, fork });
  const allProcesses = () => [...pool.processes, ...(jobs?.processes ?? [])];
  const fleetMetrics = createFleetMetrics(metrics, allProcesses);
  const jobs: JobsProcess | undefined = options.hasJobs
    ? createJobsProcess({ ...options, spawn: (version) => programs[version].spawnJobs(), fleetMetrics })
    : undefined;
  const first = options.captureProgram();
  /** Except during a reload, both versions are the same. */
  let programs: Readonly<Record<Version, ProgramVersion>> = { stable: first, candidate: first };
  const requestBudgets = new WeakMap<SupervisedProcess, number>();
  let { supervision } = options;
  let databaseUrl: string | null = null;
  let stopTimers = () => {};
  /** Replacements run one after the other. */
  let lastReplacement: Promise<void> = Promise.resolve();
  let queuedReplacements = 0;
  let reloads = 0;
  let isReloadWaiting = false;
  let recycleNotBefore = 0;

  const restarts = createRestartCounters(metrics, {
    name: 'worker_restarts_total',
    help: 'Workers that ended and were replaced, by the reason of their end.',
  });
  observeStates();

  const reportsOf = (processes: Iterable<SupervisedProcess>) =>
    Array.from(processes, (each) => each.report());

  function fork(generation: number, version: Version): SupervisedProcess {
    const hasOther = () =>
      [...pool.processes].some(
        (other) =>
          other !== worker && other.state === 'ready' && cluster.workers?.[other.id]?.isConnected() === true,
      );
    const worker: SupervisedProcess = superviseProcess({
      ...supervision,
      kind: 'requests',
      spawn: () => forkWorker(programs[version], hasOther),
      generation,
      log,
      onMessage: (message) => receive(worker, message),
    });
    const services = connectWorker(options, (message) => worker.send(message));
    function receive(from: SupervisedProcess, message: ToSupervisor): void {
      if (message.kind === 'invalidate') relayInvalidation(from, message);
      else if (message.kind === 'metrics') fleetMetrics.receive(from, message.id, message.snapshot);
      else if (message.kind === 'collect') void sendCollected(from, message.id);
      else if (message.kind === 'hello') {
        services.begin();
        from.send({ kind: 'begin', databaseUrl, sharesLoads: true });
      } else services.receive(message);
    }
    const { maxRequests, maxRequestsJitter } = supervision;
    const jitter = Math.floor(Math.random() * (maxRequestsJitter + 1));
    requestBudgets.set(worker, maxRequests === 0 ? 0 : maxRequests + jitter);
    void worker.ended.then(({ reason }) => {
      services.close();
      fleetMetrics.archive(worker);
      restarts.get(reason)?.add();
    });
    return worker;
  }

  function relayInvalidation(from: SupervisedProcess, { keys, tags }: Invalidation): void {
    for (const other of pool.processes) {
      if (other !== from) other.send({ kind: 'invalidated', keys: [...keys], tags: [...tags] });
    }
    // Afterwards, so that a worker which is granted the next load of a value has applied the invalidation before it.
    loads.invalidate({ keys, tags });
  }

  async function sendCollected(worker: SupervisedProcess, id: number): Promise<void> {
    worker.send({ kind: 'collected', id, snapshot: await fleetMetrics.collect() });
  }

  function observeStates(): void {
    const gauge = metrics.gauge({ name: 'workers', help: 'Worker processes by state.', labels: ['state'] });
    metrics.onCollect(() => {
      for (const state of processStates) {
        if (state === 'ended') continue;
        gauge.of(state).set([...pool.processes].filter((worker) => worker.state === state).length);
      }
    });
  }

  function recycleOne(): void {
    if (queuedReplacements > 0 || performance.now() < recycleNotBefore) return;
    const { maxMemoryBytes } = supervision;
    for (const worker of pool.processes) {
      const maxRequests = requestBudgets.get(worker) ?? 0;
      const reason = recycleReason(worker.report(), { maxRequests, maxMemoryBytes });
      if (reason === undefined) continue;
      enqueue(() => recycle(worker, reason));
      return;
    }
  }

  async function recycle(old: SupervisedProcess, reason: string): Promise<void> {
    const { id, pid, requests, rssBytes } = old.report();
    const failure = await pool.replace('stable', async ({ fork, accept, drainSurplus }) => {
      const fresh = fork();
      const result = await fresh.started;
      if ('error' in result) return result.error;
      accept(fresh);
      drainSurplus('recycled', old);
      return undefined;
    });
    if (pool.isStopping) return;
    if (failure === undefined) {
      log.info('process.recycled', { worker: id, pid, reason, requests, rss_bytes: rssBytes });
      await old.ended;
    } else {
      recycleNotBefore = performance.now() + recyclePauseMs;
      log.error('process.failed', { recycling: id, message: failure });
    }
  }

  async function reload(): Promise<void> {
    isReloadWaiting = false;
    if (pool.isStopping) return;
    reloads += 1;
    const { stable } = programs;
    const candidate = options.captureProgram();
    const { version, folder } = candidate;
    const fields = { reload: reloads, version, folder };
    log.info('reload.started', { ...fields, workers: pool.size });
    let renewed: RenewedSupervision;
    try {
      candidate.enter();
      renewed = await options.reloadSupervision(candidate);
    } catch (error) {
      stable.enter();
      candidate.discard();
      if (!(error instanceof StartError)) throw error;
      log.error('reload.refused', {
        ...fields,
        message: error.message,
        advice: 'The current workers keep running.',
      });
      return;
    }
    const old = allProcesses();
    // A number changed by SIGTTIN or SIGTTOU stays, unless the setting itself has changed.
    const { workers } = renewed.supervision;
    const size = workers === supervision.workers ? pool.size : workers;
    supervision = renewed.supervision;
    if (renewed.revokes) for (const each of pool.processes) each.send({ kind: 'hasten' });
    programs = { stable, candidate };
    const failure =
      (await jobs?.replace(supervision)) ??
      (await replaceAll(pool, { size, canaryMs: supervision.canaryMs }));
    programs = failure === undefined ? { stable: candidate, candidate } : { stable, candidate: stable };
    if (failure === undefined) renewed.onCompleted();
    else {
      stable.enter();
      candidate.discard();
    }
    if (pool.isStopping) return;
    if (failure !== undefined) {
      log.error('reload.failed', {
        ...fields,
        message: failure,
        advice: 'The remaining workers keep running.',
      });
      return;
    }
    await Promise.all(old.map(({ ended }) => ended));
    stable.discard();
    log.info('reload.completed', { ...fields, workers: pool.size });
  }

  /** Requests are answered already while the jobs process starts. If it fails with an error, the workers stop too. */
  async function startJobsProcess(process: JobsProcess, url: string): Promise<void> {
    try {
      await process.start(url);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async function stop(): Promise<void> {
    await Promise.all([pool.stop(), jobs?.stop()]);
    stopTimers();
  }

  /** An error here is a bug of the primary. It has not affected the workers. */
  function enqueue(replacement: () => Promise<void>): void {
    queuedReplacements += 1;
    lastReplacement = lastReplacement
      .then(replacement)
      .catch((error: unknown) => log.error('reload.failed', { error }))
      .finally(() => {
        queuedReplacements -= 1;
      });
  }

  return {
    fleet: {
      reports: () => reportsOf(allProcesses()),
      readiness: async () => fleetReadiness(reportsOf(pool.processes), pool.isStopping),
      collectMetrics: fleetMetrics.collect,
    },
    async start(url) {
      databaseUrl = url;
      const stopWatchdog = startWatchdog({
        processes: pool.processes,
        heartbeatTimeoutMs: () => supervision.heartbeatTimeoutMs,
        log,
      });
      const timers = [setInterval(recycleOne, recycleCheckMs), setInterval(limits.sweep, sweepMs)];
      stopTimers = () => {
        stopWatchdog();
        for (const timer of timers) clearInterval(timer);
      };
      const address = await pool.start();
      if (url !== null && jobs !== undefined) await startJobsProcess(jobs, url);
      return address;
    },
    reload() {
      if (isReloadWaiting || pool.isStopping) return;
      isReloadWaiting = true;
      enqueue(reload);
    },
    resize(by) {
      if (pool.isStopping) return;
      pool.resize(pool.size + by);
      log.info('fleet.resized', { workers: pool.size });
    },
    stop,
    kill() {
      pool.kill();
      jobs?.kill();
      for (const program of Object.values(programs)) program.discard();
    },
  };
}
