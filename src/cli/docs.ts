/**
 * `npm run docs`: writes the generated pages and prints their paths. If a route cannot be described in the API document, it
 * prints the reason on standard error and exits with code 1.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../errors.ts';
import { projectRoot } from '../project-root.ts';
import { generatedPages } from './generated-pages.ts';

try {
  for (const { path, content } of generatedPages()) {
    await writeFile(join(projectRoot, path), content);
    console.log(path);
  }
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
