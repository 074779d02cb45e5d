/**
 * Opens the parts that run jobs in this process, and closes them in reverse. Both roles of `jobs-program.ts` call it.
 *
 *     threads, isolate  ->  runner (its own connections)  ->  scheduler, pruner (one connection for both)
 *
 * Stopping: the runner claims no more jobs, and running jobs may finish within the grace time. Meanwhile the scheduler and
 * the pruner stop. The threads stop last.
 */

import { type ChildProcess, fork } from 'node:child_process';
import type { RequestCounts } from '../cluster/vitals.ts';
import { createRetentionRules, schedules, taskDefinitions } from '../declarations.ts';
import { taskIsolateEntry, taskThreadEntry } from '../entries.ts';
import { createQueue } from '../jobs/queue.ts';
import { runnerStopMs, startRunner } from '../jobs/runner/runner.ts';
import { createScheduler, type Scheduler } from '../jobs/schedule/scheduler.ts';
import { processStarter } from '../jobs/thread/executor.ts';
import { createIsolate, type Isolate } from '../jobs/thread/isolate.ts';
import { createThreadPool, type ThreadPool } from '../jobs/thread/thread-pool.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import { startRuntimeMetrics } from '../observability/metrics/runtime-metrics.ts';
import type { Settings } from '../settings/load.ts';
import { databasePingMs } from './alerts/evaluation-interval.ts';
import { createLifecycle } from './lifecycle.ts';
import { connectFromSettings } from './parts/connect-from-settings.ts';
import { startDatabaseMonitor } from './parts/database-monitor.ts';
import { startPruner } from './parts/pruner.ts';
import { stopLimits } from './stop-limits.ts';
import type { TaskThreadData } from './thread-entry.ts';

export interface StartJobsOptions {
  readonly settings: Settings;
  /** The database, migrated. */
  readonly databaseUrl: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds between rounds of the pruner; by default an hour. */
  readonly pruneEveryMs?: number;
}

/** Its counts are those of attempts: started, and in progress. */
export interface RunningJobs extends RequestCounts {
  /** Returns whether it takes jobs now. It does not while the database is unavailable. */
  isReady(): boolean;
  /** Lets running jobs finish within `graceMs`, releases the others, closes all parts. Idempotent. Never rejects. */
  stop(graceMs: number): Promise<void>;
}

/** How long each part may take to close, in milliseconds; the runner beyond the grace time. `stopLimits` limits all. */
const closeMs = {
  pruner: 250,
  scheduler: 250,
  database: 500,
  runner: runnerStopMs + 200,
  threads: 700,
  metrics: 100,
};

/** Rejects with a StartError for an error that the operator can fix: a pooler in between, a wrong schedule. */
export async function startJobs(options: StartJobsOptions): Promise<RunningJobs> {
  const { settings, databaseUrl, log, metrics, pruneEveryMs: everyMs = 3_600_000 } = options;
  const { application, tasks, server } = settings;
  const lifecycle = createLifecycle(log);
  const workerData: TaskThreadData = { settings, databaseUrl };
  let started = 0;
  let scheduler: Scheduler | undefined;
  let graceMs = 0;
  try {
    const version = application.projectVersion;
    await lifecycle.open(
      'runtime metrics',
      async () => startRuntimeMetrics({ metrics, version }),
      async (part) => part.stop(),
      closeMs.metrics,
    );
    const opened = await lifecycle.open(
      'threads',
      async () => ({
        threads: createThreadPool({
          entry: taskThreadEntry,
          workerData,
          size: tasks.threads,
          memoryMb: tasks.threadMemoryMb,
          log: log.named('threads'),
          metrics,
        }),
        isolate: createIsolate({
          // Crashes are rare, and most jobs that ran in the crashed process are harmless and finish soon.
          size: Math.ceil(tasks.threads / 2),
          start: processStarter(() => startIsolated(workerData)),
          log: log.named('isolate'),
        }),
      }),
      async ({ threads, isolate }) => void (await Promise.all([threads.close(), isolate.close()])),
      closeMs.threads,
    );
    const counted = <Pool extends Pick<ThreadPool, 'run'>>(runs: Pool): Pool => ({
      ...runs,
      run(attempt, onProgress) {
        started += 1;
        return runs.run(attempt, onProgress);
      },
    });
    const pool: ThreadPool = counted(opened.threads);
    const isolate: Isolate = counted(opened.isolate);
    const runner = await lifecycle.open(
      'runner',
      () =>
        startRunner({
          databaseUrl,
          directUrl: tasks.brokerUrl === '' ? databaseUrl : tasks.brokerUrl,
          connectTimeoutSeconds: application.databaseConnectTimeoutSeconds,
          applicationName: `${application.projectName} runner`,
          definitions: taskDefinitions,
          pool,
          isolate,
          version,
          log: log.named('runner'),
          metrics,
          onRunRequest: () => scheduler?.wake(),
        }),
      (part) => part.stop(graceMs),
      server.shutdownGraceSeconds * 1000 + closeMs.runner,
    );
    const database = await lifecycle.open(
      'database',
      async () =>
        connectFromSettings(settings, {
          url: databaseUrl,
          poolSize: 1,
          log: log.named('database'),
          part: 'scheduler',
        }),
      (opened) => opened.close(closeMs.database / 2000),
      closeMs.database,
    );
    await lifecycle.open(
      'database monitor',
      async () => startDatabaseMonitor({ database, metrics, everyMs: databasePingMs(settings) }),
      async (stop) => stop(),
      closeMs.metrics,
    );
    const queue = createQueue({ definitions: taskDefinitions });
    scheduler = await lifecycle.open(
      'scheduler',
      async () => {
        const created = createScheduler({ database, queue, schedules, log: log.named('schedule') });
        created.start();
        return created;
      },
      (part) => part.stop(),
      closeMs.scheduler,
    );
    await lifecycle.open(
      'pruner',
      async () => startPruner({ rules: createRetentionRules({ database, settings }), everyMs, log }),
      (part) => part.stop(),
      closeMs.pruner,
    );
    return {
      requests: () => started,
      inFlight: runner.running,
      isReady: runner.isReady,
      stop(ms) {
        graceMs = ms;
        void runner.stop(ms);
        return lifecycle.closeAll(ms + stopLimits.parts);
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

function startIsolated(workerData: TaskThreadData): ChildProcess {
  const child = fork(taskIsolateEntry, { serialization: 'advanced' });
  child.send(workerData, () => {});
  return child;
}
