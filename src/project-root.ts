import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The root of the project: the nearest folder upwards with `package.json` and `sql`. A source file and the program that
 * it is built into lie at different depths, so code that reads a file of the project starts from here.
 */
export const projectRoot = findProjectRoot(import.meta.dirname);

/** Throws an Error if there is no such folder, as when the program was copied without these files. */
function findProjectRoot(start: string): string {
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
