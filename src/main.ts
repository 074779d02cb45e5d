/** The entry of the server: `npm start` runs this file, and each HTTP worker does. */

import { runServerProgram } from './program/server-program.ts';

runServerProgram();
