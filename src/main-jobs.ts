/** The entry of processes that run jobs: of `npm run worker`, and of the jobs process beside a server. */

import { runJobsProgram } from './program/jobs-program.ts';

runJobsProgram();
