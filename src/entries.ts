import { extname } from 'node:path';

/**
 * The entry files that other processes and threads of the program start with: as TypeScript if this file runs from the
 * sources, else as built. A built program is one file that holds this module, so only a program at the top of `dist/`
 * finds its neighbours by these URLs.
 */
const entryOf = (name: string) => new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);

/** The process that runs jobs beside a server. */
export const jobsEntry = entryOf('main-jobs');
/** A thread that runs tasks. */
export const taskThreadEntry = entryOf('program/task-thread');
/** A process that runs one suspect job at a time. */
export const taskIsolateEntry = entryOf('program/task-isolate');
