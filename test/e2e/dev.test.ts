/** `npm run dev` in a copy of the project. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../helpers/eventually.ts';
import { copySources, mustMakeFolder } from '../helpers/program.ts';

const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

/** Returns the process ids of the children of a process by their command lines. */
async function childrenOf(pid: number): Promise<Record<string, number>> {
  const { stdout } = await run('ps', ['-o', 'pid=,args=', '--ppid', String(pid)]);
  const rows = stdout
    .trim()
    .split('\n')
    .map((row) => /^\s*(\d+) (.*)$/.exec(row) ?? []);
  return Object.fromEntries(
    rows.map(([, id, args = '']) => [/postgres|build/.exec(args)?.[0] ?? args, Number(id)]),
  );
}

test('npm run dev restarts the server alone after a save, survives a syntax error, and leaves no process', async (t) => {
  const folder = await mustMakeFolder(t);
  await copySources(folder);
  for (const file of ['build.mjs', 'preflight.cjs']) await cp(join(root, file), join(folder, file));
  const programs = ['build.mjs', '--into', 'dist/dev', '--base', 'src', 'src/main-dev.ts'];
  await run(process.execPath, programs, { cwd: folder });
  const dev = spawn(process.execPath, ['--enable-source-maps', 'dist/dev/main-dev.js'], {
    cwd: folder,
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR },
      ...{ APP_PORT: '0', APP_MANAGEMENT_PORT: 'off', SECURITY_RATE_LIMIT_ENABLED: 'false' },
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  dev.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  dev.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = once(dev, 'close');
  t.after(async () => {
    dev.kill('SIGKILL');
    await exited;
  });
  const names = async () => {
    const ready = stdout.split('\n').findLast((line) => line.includes('"application.ready"'));
    if (ready === undefined) return '';
    return fetch(`${JSON.parse(ready).url}/api/v1/meta`, { headers: { connection: 'close' } })
      .then(async (response) => String(Object(await response.json()).name))
      .catch(() => '');
  };
  const pid = dev.pid ?? 0;
  await eventually(
    'the server and the jobs run',
    async () => (await names()) === 'Strata' && stdout.includes('runner.started'),
  );
  const before = await childrenOf(pid);
  assert.deepEqual(Object.keys(before).sort(), ['build', 'postgres', 'strata jobs', 'strata server']);

  const file = join(folder, 'src', 'features', 'meta', 'meta.ts');
  const source = await readFile(file, 'utf8');
  const named = (name: string) => source.replace('name: options.projectName', `name: '${name}'`);
  await writeFile(file, named('Second'));
  await eventually('the new code answers', async () => (await names()) === 'Second');
  const { 'strata server': server, ...others } = await childrenOf(pid);
  const { 'strata server': oldServer, ...oldOthers } = before;
  assert.notEqual(server, oldServer);
  assert.deepEqual(others, oldOthers);

  await writeFile(file, `${named('Third')}\nsyntax error {{{`);
  await eventually('the error is printed', () => /Expected ";"[\s\S]*The next save is awaited/.test(stderr));
  assert.equal(await names(), 'Second');

  // An editor that saves in an atomic way replaces the file.
  await writeFile(`${file}.new`, named('Fourth'));
  await rename(`${file}.new`, file);
  await eventually('the repaired code answers', async () => (await names()) === 'Fourth');

  await writeFile(join(folder, 'src', 'features', 'mails', 'tasks.ts'), '// changed\n', { flag: 'a' });
  await eventually('the jobs process is replaced', async () => {
    const { 'strata jobs': jobs } = await childrenOf(pid);
    return jobs !== undefined && jobs !== before['strata jobs'];
  });

  const last = await childrenOf(pid);
  dev.kill('SIGINT');
  assert.deepEqual(await exited, [0, null]);
  for (const [name, id] of [...Object.entries(before), ...Object.entries(last)]) {
    assert.throws(() => process.kill(id, 0), /ESRCH/, name);
  }
});
