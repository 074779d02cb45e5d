/**
 * The program that runs jobs, in one of two roles:
 *
 *     standalone  `npm run worker`, on this machine or another: any number of processes, with or without a server
 *     child       the jobs process of a server, forked by the single process or the primary (`cluster/jobs-process.ts`)
 *
 * Both run jobs of the same table. A signal stops the standalone process, which has a management port of its own; the
 * supervisor stops the child and reports its state.
 */

import { runProcess } from './process.ts';
import { runJobsChild } from './roles/jobs-child.ts';
import { runJobsStandalone } from './roles/jobs-standalone.ts';

/** The label `worker` of the metrics. During a reload the numbers of the old and the new process are summed. */
const metricsName = 'jobs';

/** Runs jobs until a signal or the supervisor stops it, then exits; if it cannot start, with a sentence and code 1. */
export function runJobsProgram(): void {
  runProcess({ nameOf: () => metricsName, roleOf: () => 'jobs', help: () => help }, (context) =>
    context.isSupervised ? runJobsChild(context) : runJobsStandalone(context),
  );
}

const help = `Usage: npm run worker

Runs background jobs until it is stopped, on the database of the settings, beside a server or without one.
Settings come from the environment or from .env, as for the server: see APP_TASKS_... in docs/configuration.md.
`;
