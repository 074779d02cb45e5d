import { setTimeout as delay } from 'node:timers/promises';
import { openPrimaryChannel } from '../cluster/worker.ts';
import { StartError } from '../errors.ts';
import { findDatabaseProblem, openProbe } from './database-check.ts';
import type { ProcessContext } from './process.ts';
import { ignoreSignals } from './signals.ts';
import { type RunningJobs, startJobs } from './start-jobs.ts';

/** How long jobs may go on whose supervisor is gone, and the whole process, in milliseconds. */
const orphanGraceMs = 1_500;
const orphanEndMs = 3_500;

/** How long to wait before the database is looked at again, in milliseconds. */
const lookAgainMs = 1_000;

/**
 * Runs jobs beside the server, until its supervisor says stop or is gone. A database that is away, or not migrated
 * yet, is waited for, as the server does. Resolves with the exit code.
 */
export async function runJobsChild({ settings, log, metrics }: ProcessContext): Promise<number> {
  const channel = openPrimaryChannel(metrics);
  ignoreSignals();
  return Promise.race([serve(), channel.orphaned.then(() => delay(orphanEndMs, 0))]);

  async function serve(): Promise<number> {
    const begun = await Promise.race([channel.begun, channel.stopAsked]);
    if (typeof begun === 'string') return 0;
    const { databaseUrl } = begun;
    if (databaseUrl === null) throw new Error('There are no jobs without a database.');
    let jobs: RunningJobs | undefined;
    // From the start: who waits for the database is not silent.
    channel.report({
      requests: () => jobs?.requests() ?? 0,
      inFlight: () => jobs?.inFlight() ?? 0,
    });
    try {
      if (await waitForDatabase(databaseUrl)) return 0;
      jobs = await startJobs({ settings, databaseUrl, log, metrics });
      await becomeReady();
      const reason = await channel.stopAsked;
      await jobs.stop(reason === 'orphaned' ? orphanGraceMs : settings.server.shutdownGraceSeconds * 1000);
      await channel.sendMetrics();
      return 0;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      await channel.send({ kind: 'failed', message: error.message });
      return 1;
    }
  }

  /** It is there, though perhaps for nothing but waiting: nobody needs to end it for being late. */
  function becomeReady(): Promise<void> {
    return channel.send({ kind: 'ready', url: '' });
  }

  /** Resolves with whether to stop instead. */
  async function waitForDatabase(url: string): Promise<boolean> {
    const probe = openProbe(url, log.named('database'));
    let reported: string | undefined;
    try {
      for (;;) {
        const problem = await findDatabaseProblem(probe);
        if (problem === undefined) return false;
        if (reported === undefined) await becomeReady();
        if (reported !== problem) log.warning('jobs.waiting', { message: problem });
        reported = problem;
        const stops = await Promise.race([channel.stopAsked, delay(lookAgainMs)]);
        if (stops !== undefined) return true;
      }
    } finally {
      await probe.close(1);
    }
  }
}
