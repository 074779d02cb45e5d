import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { it } from 'node:test';
import { projectRoot } from '../../src/project-root.ts';
import { buildProgram, startProgram } from '../helpers/program.ts';
import { mustCopyWithout, mustRun } from '../helpers/removed-examples.ts';

const traces =
  /csv-parse|removed-examples|test\/examples|prove\/examples|features\/(?:posts|uploads|reports)\b/;
/** These pages describe the removal, the origin and the history of the examples. */
const describingExamples = /^(?:CHANGELOG\.md|docs\/your-own\.md|docs\/guide-map\.md)$/;

/** Returns the lines of the project's own files that still name something of the removed examples. */
async function findTracesOfExamples(folder: string): Promise<string[]> {
  const files = await Promise.all(
    ['src', 'test', 'sql', 'docs', 'deploy', '.'].map(async (part) => {
      const entries = await readdir(join(folder, part), { recursive: part !== '.', withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    }),
  );
  const found = files.flat().map(async (path) => {
    const name = relative(folder, path);
    const lines = (await readFile(path, 'utf8')).split('\n');
    if (describingExamples.test(name)) return [];
    return lines.filter((line) => traces.test(line)).map((line) => `${name}: ${line.trim()}`);
  });
  return (await Promise.all(found)).flat();
}

it('every command of docs/your-own.md works in the order of the page, and the result starts', async (t) => {
  const page = await readFile(join(projectRoot, 'docs/your-own.md'), 'utf8');
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
  assert.ok(commands.length > 15);
  const folder = await mustCopyWithout(t, []);
  for (const command of commands) await mustRun(folder, 'sh', '-ec', command);
  assert.deepEqual(await findTracesOfExamples(folder), []);
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  assert.equal((await fetch(`${await program.ready}/api/v1/health/live`)).status, 200);
});
