/** The entry of `npm run dev`: a program that runs the server and restarts it when its code changes. */

import { runDevProgram } from './program/dev/dev-program.ts';

runDevProgram();
