/** The entry of what runs jobs: `npm run worker`, and the process beside the server. */

import { runJobProgram } from './program/jobs-program.ts';

runJobProgram();
