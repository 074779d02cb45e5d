/**
 * Supervises the jobs process, the process beside a server that runs jobs. There is one, and it is replaced if it dies.
 *
 *     start ──> supervised-process.ts: starting -> ready -> draining -> ended, or killed   (process-state.ts)
 *                    │  exits by itself, or sends no heartbeat (watchdog.ts)
 *                    └──> a new one, after increasing delays if it keeps dying (process-pool.ts, with a size of one)
 *     replace ─────────> a new one; when that is ready, the old one drains
 *     stop ────────────> drains: running jobs may finish within the grace time, waiting jobs are left to others
 *
 * It listens on no socket, and is a plain child process instead of a cluster worker, so that a request never shares an
 * event loop with a job. The server keeps running even if it crashes repeatedly. The one exception is its first start: an error
 * there, such as an unsuitable database, fails the start of the server.
 *
 * The supervisor runs no code of a job, and neither does the event loop of the child, which gives jobs to threads. So a
 * child that sends no heartbeat for long is stopped or starved, and is killed. PostgreSQL then frees the lock that marks
 * its jobs as owned, and the next process takes them over. A child whose supervisor is gone exits by itself
 * (`../program/roles/jobs-child.ts`).
 */

import type { ChildProcess } from 'node:child_process';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import type { ToSupervisor } from './messages.ts';
import { createProcessPool, type Version } from './process-pool.ts';
import { createRestartCounters } from './restarts.ts';
import { replaceAll } from './rolling-reload.ts';
import { type SupervisedProcess, superviseProcess } from './supervised-process.ts';
import type { SupervisionOptions } from './supervision.ts';
import { startWatchdog } from './watchdog.ts';

export interface JobsProcessOptions {
  readonly supervision: SupervisionOptions;
  /** Creates the process, with an IPC channel. Throws the system's error if no process can be created. */
  readonly spawn: (version: Version) => ChildProcess;
  readonly log: Logger;
  /** Counts how often the process has exited. */
  readonly metrics: Metrics;
  /** Receives the metrics of the process. */
  readonly fleetMetrics: Pick<FleetMetrics, 'receive' | 'archive'>;
}

export interface JobsProcess {
  /** The process that runs jobs, and during a replacement both. */
  readonly processes: ReadonlySet<SupervisedProcess>;
  /** Starts the process. Resolves when it is ready, or rejects with a StartError. */
  start(databaseUrl: string): Promise<void>;
  /** Replaces it by a new one. Resolves with undefined when the old one drains, or with a sentence on why it stays. */
  replace(supervision: SupervisionOptions): Promise<string | undefined>;
  /** Drains it and waits until it has exited. Idempotent. */
  stop(): Promise<void>;
  /** Kills it at once. */
  kill(): void;
}

export function createJobsProcess(options: JobsProcessOptions): JobsProcess {
  const { log, metrics, fleetMetrics } = options;
  const pool = createProcessPool({ size: 1, log, fork });
  const restarts = createRestartCounters(metrics, {
    name: 'job_process_restarts_total',
    help: 'Ends of the process that runs jobs beside the requests, by their reason; each was replaced.',
  });
  const ready = metrics.gauge({
    name: 'job_process_ready',
    help: 'Whether the process that runs jobs beside the requests is ready: 0 or 1.',
  });
  metrics.onCollect(() => ready.of().set([...pool.processes].some(({ state }) => state === 'ready') ? 1 : 0));
  let { supervision } = options;
  let databaseUrl: string | null = null;
  let lastId = 0;
  let stopWatchdog = () => {};

  function fork(generation: number, version: Version): SupervisedProcess {
    lastId += 1;
    const id = lastId;
    const child = superviseProcess({
      ...supervision,
      kind: 'jobs',
      spawn: () => ({ id, child: options.spawn(version) }),
      generation,
      log,
      onMessage: (message) => receive(child, message),
    });
    void child.ended.then(({ reason }) => {
      fleetMetrics.archive(child);
      restarts.get(reason)?.add();
    });
    return child;
  }

  function receive(child: SupervisedProcess, message: ToSupervisor): void {
    if (message.kind === 'hello') child.send({ kind: 'begin', databaseUrl });
    else if (message.kind === 'metrics') fleetMetrics.receive(child, message.id, message.snapshot);
  }

  return {
    processes: pool.processes,
    async start(url) {
      databaseUrl = url;
      stopWatchdog = startWatchdog({
        processes: pool.processes,
        heartbeatTimeoutMs: () => supervision.heartbeatTimeoutMs,
        log,
      });
      await pool.start();
    },
    async replace(renewed) {
      supervision = renewed;
      return replaceAll(pool, { size: 1, canaryMs: supervision.canaryMs });
    },
    async stop() {
      await pool.stop();
      stopWatchdog();
    },
    kill: pool.kill,
  };
}
