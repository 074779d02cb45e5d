/** The entry: `npm start` runs this file, and so does each worker. */

import { runProgram } from './program/server-program.ts';

runProgram();
