/** `npm run docs`: writes the generated pages and prints their paths. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../project-root.ts';
import { generatedPages } from './generated-pages.ts';

for (const { path, content } of generatedPages()) {
  await writeFile(join(projectRoot, path), content);
  console.log(path);
}
