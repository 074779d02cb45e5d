/**
 * The program that runs jobs, in one of two roles:
 *
 *     alone       `npm run worker`, on this machine or another: as many as are wanted, beside a server or without
 *     supervised  the one beside the server, forked by the single process or the primary (`cluster/job-process.ts`)
 *
 * Both run the same jobs of the same table; what differs is who says stop, and who tells of them.
 */

import { runJobChild } from './jobs-child.ts';
import { runJobsAlone } from './jobs-standalone.ts';
import { runInFrame } from './process.ts';

/** The label `worker` of its metrics. While one takes over from another, both are added up. */
const metricsName = 'jobs';

/** Runs jobs until it is told to stop, and ends the process: with a sentence and code 1, if it cannot start. */
export function runJobProgram(): void {
  runInFrame({ nameOf: () => metricsName, help: () => help }, (frame) =>
    frame.isSupervised ? runJobChild(frame) : runJobsAlone(frame),
  );
}

const help = `Usage: npm run worker

Runs background jobs until it is stopped, on the database of the settings, beside a server or without one.
Settings come from the environment or from .env, as for the server: see APP_TASKS_... in docs/configuration.md.
`;
