import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { builtVariable, mustMakeFolder } from './program.ts';
import { serverVariable } from './test-database.ts';

const root = join(import.meta.dirname, '../..');
/** The example features, which a team deletes. */
export const exampleNames = ['posts', 'uploads', 'reports'];
const notCopied = new Set(['node_modules', '.git', 'dist', 'coverage', '.data', '.env', 'built']);

/** Copies the project without these features, as a person would remove them: folder, line, migration and tests. */
export async function mustCopyWithout(
  t: Pick<TestContext, 'after'>,
  names: readonly string[],
): Promise<string> {
  const folder = await mustMakeFolder(t);
  await cp(root, folder, {
    recursive: true,
    filter: (path) =>
      !relative(root, path)
        .split('/')
        .some((part) => notCopied.has(part)),
  });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const list = join(folder, 'src/features.ts');
  let lines = (await readFile(list, 'utf8')).split('\n');
  for (const name of names) {
    await rm(join(folder, 'src/features', name), { recursive: true });
    await rm(join(folder, 'test/features', name), { recursive: true });
    for (const file of await readdir(join(folder, 'sql'))) {
      if (file.endsWith(`_create_${name}.sql`)) await rm(join(folder, 'sql', file));
    }
    lines = lines.filter((line) => !line.includes(`/${name}/`));
  }
  await writeFile(list, lines.join('\n'));
  return folder;
}

/** Runs a command in a copy. Fails with its output unless it exits with code 0. */
export async function mustRun(folder: string, command: string, ...args: string[]): Promise<void> {
  const {
    [serverVariable]: _server,
    [builtVariable]: _built,
    NODE_TEST_CONTEXT: _test,
    ...env
  } = process.env;
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${output}${errors}`);
}
