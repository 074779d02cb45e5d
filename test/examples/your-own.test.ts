import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { projectRoot } from '../../src/project-root.ts';
import { buildProgram, mustMakeFolder, startProgram } from '../helpers/program.ts';

/** The parts that the commands of the page need: the project without packages, results and local settings. */
const parts = [
  ...['src', 'sql', 'test', 'dashboard', 'docs', 'bench', 'package.json', 'package-lock.json', 'biome.json'],
  ...['build.mjs', 'tsconfig.json', 'tsconfig.build.json', '.env.example'],
];
const isOurs = (path: string) => !/node_modules|\/bench\/(?:results|built)(?:\/|$)/.test(path);

it('every command of docs/your-own.md works in the order of the page, and the result starts', async (t) => {
  const page = await readFile(join(projectRoot, 'docs/your-own.md'), 'utf8');
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
  assert.ok(commands.length > 15);
  const folder = join(await mustMakeFolder(t), 'project');
  await mkdir(folder);
  for (const part of parts)
    await cp(join(projectRoot, part), join(folder, part), { recursive: true, filter: isOurs });
  await symlink(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR };
  for (const command of commands) {
    const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], {
      cwd: folder,
      encoding: 'utf8',
      env,
    });
    assert.equal(status, 0, `${command}\n${stdout}${stderr}`.slice(-8_000));
  }
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  assert.equal((await fetch(`${await program.ready}/api/v1/health/live`)).status, 200);
});
