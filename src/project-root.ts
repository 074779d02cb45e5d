import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Where the project lies: the nearest folder upwards with `package.json` and `sql`. A source and the program that it is
 * built into stand at different depths, so whoever reads a file of the project starts here.
 */
export const projectFolder = findProjectFolder(import.meta.dirname);

/** Throws an Error if there is none: the program was copied without the files that it needs. */
function findProjectFolder(start: string): string {
  const isProject = (folder: string) =>
    ['package.json', 'sql'].every((name) => existsSync(join(folder, name)));
  let folder = start;
  while (!isProject(folder)) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new Error(`No folder above ${start} has package.json and sql: copy them beside the program.`);
    }
    folder = parent;
  }
  return folder;
}
