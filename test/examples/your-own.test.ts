import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { projectRoot } from '../../src/project-root.ts';
import { buildProgram, startProgram } from '../helpers/program.ts';
import { mustCopyWithout, mustRun } from '../helpers/removed-examples.ts';

it('every command of docs/your-own.md works in the order of the page, and the result starts', async (t) => {
  const page = await readFile(join(projectRoot, 'docs/your-own.md'), 'utf8');
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
  assert.ok(commands.length > 15);
  const folder = await mustCopyWithout(t, []);
  for (const command of commands) await mustRun(folder, 'sh', '-ec', command);
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  assert.equal((await fetch(`${await program.ready}/api/v1/health/live`)).status, 200);
});
