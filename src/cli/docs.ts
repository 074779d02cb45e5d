/** `npm run docs`: writes the pages that are made from the code. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedPages } from './generated-pages.ts';

const root = join(import.meta.dirname, '..', '..');

for (const { path, content } of generatedPages()) {
  await writeFile(join(root, path), content);
  console.log(path);
}
