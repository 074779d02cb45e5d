import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Adds a feature to a copy of the sources: its front file, and its line in the list. */
export async function insertFeature(sources: string, name: string, frontFile: string): Promise<void> {
  const folder = join(sources, 'features', name);
  await mkdir(folder);
  await writeFile(join(folder, 'feature.ts'), frontFile);
  await appendFile(
    join(sources, 'features.ts'),
    `export { ${name} } from './features/${name}/feature.ts';\n`,
  );
}
