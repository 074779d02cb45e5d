import { extname } from 'node:path';

/**
 * The entry files of other processes and threads of the program: TypeScript if this file runs from the sources, else the
 * built files. A built program is one file that contains this module, so these URLs resolve only in a program at the top of
 * `dist/`.
 */
const entryOf = (name: string) => new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);

/** The server. */
export const serverEntry = entryOf('main');
/** The jobs process of a server. */
export const jobsEntry = entryOf('main-jobs');
/** A thread that runs tasks. */
export const taskThreadEntry = entryOf('program/thread-entry');
/** A process that runs one suspect job at a time. */
export const taskIsolateEntry = entryOf('program/isolate-entry');
