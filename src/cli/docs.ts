/** `npm run docs`: writes the pages that are made from the code. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../project-root.ts';
import { generatedPages } from './generated-pages.ts';

for (const { path, content } of generatedPages()) {
  await writeFile(join(projectRoot, path), content);
  console.log(path);
}
