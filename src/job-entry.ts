import { extname } from 'node:path';
import type { Settings } from './settings/load.ts';

/** The file that the process beside the server runs: as this one it is a source, or built. */
export const jobEntry = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

/** Whether the server has a process beside it that runs jobs. */
export function hasJobProcess({ application, tasks }: Settings): boolean {
  return tasks.enabled && application.databaseKind !== 'none';
}
