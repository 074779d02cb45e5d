/**
 * The process that runs jobs, as the supervisor of the requests' workers has it: one, whatever happens to it.
 *
 *     start ──> supervised-worker.ts: starting -> ready -> draining -> ended, or killed   (worker-state.ts)
 *                    │  ended unasked, or silent for too long (watchdog.ts)
 *                    └──> another one, later and later if it keeps dying (worker-pool.ts, with one wanted)
 *     replace ─────────> another one; when that is ready, the old one drains
 *     stop ────────────> drains: what runs may finish within the grace time, what waits is left to others
 *
 * It is a worker without a socket, and a child process and no cluster worker, so that a request never shares an event
 * loop with a job. Whatever happens to it, the server serves on; only at the very first start a sentence of it, such
 * as on a database that it must not use, ends the start of the whole.
 *
 * The supervisor runs no code of a job, and neither does the event loop of the child, which gives them to threads. So
 * a child that says nothing for long is stopped or starved, and is killed: PostgreSQL then frees the lock by which it
 * owned its jobs, and the next one takes them over. A child whose supervisor is gone ends by itself
 * (`jobs-child.ts`).
 */

import type { ChildProcess } from 'node:child_process';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import type { ToPrimary } from './messages.ts';
import { countRestarts } from './restart-counter.ts';
import { replaceAll } from './rolling-reload.ts';
import { watchSilence } from './silence.ts';
import { type SupervisedWorker, superviseWorker } from './supervised-worker.ts';
import { createWorkerPool, type Version } from './worker-pool.ts';

/** Times are in milliseconds. */
export interface JobProcessTerms {
  readonly startTimeoutMs: number;
  /** How long it may drain while another one takes over, and when everything stops. */
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** How long it may be silent. */
  readonly silenceMs: number;
  /** In a reload, how long the new one must stay up before the old one drains. */
  readonly canaryMs: number;
}

export interface JobProcessOptions {
  readonly terms: JobProcessTerms;
  /** Makes the process, with a channel. Throws the system's error if there is no room for another. */
  readonly spawn: (version: Version) => ChildProcess;
  readonly log: Logger;
  /** Where its ends are counted. */
  readonly metrics: Metrics;
  /** Where what it has counted goes. */
  readonly fleetMetrics: Pick<FleetMetrics, 'receive' | 'archive'>;
}

export interface JobProcess {
  /** The one that runs jobs, and while one takes over from another, both. */
  readonly processes: ReadonlySet<SupervisedWorker>;
  /** Starts it. Resolves when it is ready, or rejects with a StartError. */
  start(databaseUrl: string): Promise<void>;
  /** Has a new one take over. Resolves with undefined when the old one drains, or with the sentence on why it stays. */
  replace(terms: JobProcessTerms): Promise<string | undefined>;
  /** Drains it and waits for its end. Idempotent. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

export function createJobProcess(options: JobProcessOptions): JobProcess {
  const { log, metrics, fleetMetrics } = options;
  const pool = createWorkerPool({ wanted: 1, log, fork });
  const restarts = countRestarts(metrics, {
    name: 'job_process_restarts_total',
    help: 'Ends of the process that runs jobs beside the requests, by their reason; each was replaced.',
  });
  const ready = metrics.gauge({
    name: 'job_process_ready',
    help: 'Whether the process that runs jobs beside the requests is there: 0 or 1.',
  });
  metrics.onCollect(() => ready.of().set([...pool.workers].some(({ state }) => state === 'ready') ? 1 : 0));
  let { terms } = options;
  let databaseUrl: string | null = null;
  let lastId = 0;
  let endWatch = () => {};

  function fork(generation: number, version: Version): SupervisedWorker {
    lastId += 1;
    const id = lastId;
    const child = superviseWorker({
      ...terms,
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

  function receive(child: SupervisedWorker, message: ToPrimary): void {
    if (message.kind === 'hello') child.tell({ kind: 'begin', databaseUrl });
    else if (message.kind === 'metrics') fleetMetrics.receive(child, message.id, message.snapshot);
  }

  return {
    processes: pool.workers,
    async start(url) {
      databaseUrl = url;
      endWatch = watchSilence({ workers: pool.workers, silenceMs: () => terms.silenceMs, log });
      await pool.start();
    },
    async replace(renewed) {
      terms = renewed;
      return replaceAll(pool, { workers: 1, canaryMs: terms.canaryMs });
    },
    async stop() {
      await pool.stop();
      endWatch();
    },
    kill: pool.kill,
  };
}
