/**
 * The examples leave nothing behind: in a copy of the project, the folder, the line, the migration and the tests of one
 * example are deleted. The rest must compile and start. `your-own.test.ts` deletes all of them.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { buildProgram, builtVariable, mustMakeFolder, startProgram } from '../helpers/program.ts';
import { serverVariable } from '../helpers/test-database.ts';

const root = join(import.meta.dirname, '../..');
const examples = ['posts', 'uploads', 'reports'];
const notCopied = new Set(['node_modules', '.git', 'dist', 'coverage', '.data', '.env', 'results', 'built']);

/** Copies the project without this feature, as a person would remove it. */
async function mustCopyWithout(t: TestContext, name: string): Promise<string> {
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
  const lines = (await readFile(list, 'utf8')).split('\n');
  await rm(join(folder, 'src/features', name), { recursive: true });
  await rm(join(folder, 'test/features', name), { recursive: true });
  for (const file of await readdir(join(folder, 'sql'))) {
    if (file.endsWith(`_create_${name}.sql`)) await rm(join(folder, 'sql', file));
  }
  await writeFile(list, lines.filter((line) => !line.includes(`/${name}/`)).join('\n'));
  return folder;
}

/** Runs a command in a copy. Fails with its output unless it ends with code 0. */
async function mustRun(folder: string, command: string, ...args: string[]): Promise<void> {
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

async function assertStarts(t: TestContext, folder: string): Promise<void> {
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  const response = await fetch(`${await program.ready}/api/v1/health/live`);
  assert.equal(response.status, 200);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0, program.stderr());
}

describe('the project', { concurrency: 2 }, () => {
  for (const name of examples) {
    it(`compiles and starts without ${name}`, async (t) => {
      const folder = await mustCopyWithout(t, name);
      await mustRun(folder, 'npx', 'tsc', '-p', 'tsconfig.json');
      await assertStarts(t, folder);
    });
  }
});
