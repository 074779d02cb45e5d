import { setTimeout as delay } from 'node:timers/promises';
import { openSupervisorChannel } from '../../cluster/supervisor-channel.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { StartError } from '../../errors.ts';
import { findDatabaseProblem, openProbe } from '../parts/database-check.ts';
import type { ProcessContext } from '../process.ts';
import { ignoreSignals } from '../signals.ts';
import { type RunningJobs, startJobs } from '../start-jobs.ts';

/** If the supervisor is gone, how long running jobs may continue, and how long the process may, in milliseconds. */
const orphanGraceMs = 1_500;
const orphanExitMs = 3_500;

/** The time between two checks of a database that is not usable, in milliseconds. */
const recheckMs = 1_000;

/**
 * Runs jobs beside a server, until its supervisor stops it or is gone. While the database is unavailable or not migrated,
 * it waits, as the server does. Resolves with the exit code.
 */
export async function runJobsChild({
  settings,
  log,
  flushTerminal,
  metrics,
}: ProcessContext): Promise<number> {
  const channel = openSupervisorChannel(metrics);
  ignoreSignals();
  return Promise.race([serve(), channel.orphaned.then(() => delay(orphanExitMs, 0))]);

  async function serve(): Promise<number> {
    const order = await Promise.race([channel.startOrder, channel.stopOrder]);
    if (typeof order === 'string') return 0;
    const { databaseUrl } = order;
    if (databaseUrl === null) throw new Error('The jobs process was started without a database.');
    let jobs: RunningJobs | undefined;
    // Heartbeats start now, so that the watchdog does not mistake waiting for the database for a hang.
    channel.startHeartbeat({
      requests: () => jobs?.requests() ?? 0,
      inFlight: () => jobs?.inFlight() ?? 0,
    });
    try {
      if (await waitForDatabase(databaseUrl)) return 0;
      jobs = await startJobs({ settings, databaseUrl, log, metrics });
      await reportReady();
      const reason = await channel.stopOrder;
      await jobs.stop(reason === 'orphaned' ? orphanGraceMs : settings.server.shutdownGraceSeconds * 1000);
      await channel.sendMetrics();
      return 0;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      await channel.send({ kind: 'failed', message: error.message });
      return 1;
    }
  }

  /** Ends the start timeout. A process that waits for the database reports ready too, so it is not killed for being late. */
  async function reportReady(): Promise<void> {
    // On a terminal, the lines of this process must appear before the line of the supervisor that reports its start.
    await flushTerminal();
    await channel.send({ kind: 'ready', url: '' });
  }

  /** Resolves with false when the database is usable, and with true when the process has to stop instead. */
  async function waitForDatabase(url: string): Promise<boolean> {
    const probe = openProbe(url, log.named('database'));
    let reported: string | undefined;
    try {
      for (;;) {
        const problem = await findDatabaseProblem(probe);
        if (problem === undefined) return false;
        if (reported === undefined) await reportReady();
        if (reported !== problem) log.warning('jobs.waiting', { message: problem });
        reported = problem;
        const stopReason = await withTimeout(channel.stopOrder, recheckMs, () => undefined);
        if (stopReason !== undefined) return true;
      }
    } finally {
      await probe.close(1);
    }
  }
}
