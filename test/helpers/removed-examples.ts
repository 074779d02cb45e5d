import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { builtVariable, mustMakeFolder } from './program.ts';

const root = join(import.meta.dirname, '../..');
/** The example features, which a team deletes. */
export const exampleNames = ['posts', 'uploads', 'reports'];
/** The results of the compiler. With those of another check, it looks only at the files that differ. */
const typesFiles = ['dist/.tsbuildinfo-check', 'dist/.tsbuildinfo-dashboard'];
/** The types of the first check of the run, in the temporary folder of the run. */
const knownTypes = join(tmpdir(), 'strata-known-types');
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

/**
 * Runs a command in a copy, where `npm test` uses the PostgreSQL of this run. Fails with its output unless it exits with code 0.
 */
export async function mustRun(folder: string, command: string, ...args: string[]): Promise<void> {
  await copyTypes(existsSync(knownTypes) ? knownTypes : root, folder);
  const { [builtVariable]: _built, NODE_TEST_CONTEXT: _test, ...env } = process.env;
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${output}${errors}`);
  if (existsSync(knownTypes) || !existsSync(join(folder, typesFiles[0] ?? ''))) return;
  // Another test process may do the same at the same time.
  const own = `${knownTypes}-${process.pid}`;
  await copyTypes(folder, own);
  await rename(own, knownTypes).catch(() => rm(own, { recursive: true }));
}

/** Copies the results of checks that exist, and that the other folder does not have. */
async function copyTypes(from: string, to: string): Promise<void> {
  for (const name of typesFiles) {
    if (!existsSync(join(from, name)) || existsSync(join(to, name))) continue;
    await mkdir(dirname(join(to, name)), { recursive: true });
    await cp(join(from, name), join(to, name));
  }
}
