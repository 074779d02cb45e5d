/**
 * The examples leave nothing behind: a copy of the project without one of them passes the check and starts.
 * `your-own.test.ts` deletes all of them, and `npm run prove -- examples` also runs the whole suite without each.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { buildProgram, mustMakeFolder, startProgram } from '../helpers/program.ts';
import { exampleNames, mustCopyWithout, mustRun } from '../helpers/removed-examples.ts';

async function assertStarts(t: TestContext, folder: string): Promise<void> {
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  const response = await fetch(`${await program.ready}/api/v1/health/live`);
  assert.equal(response.status, 200);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0, program.stderr());
}

/** From the types that a check has found, the compiler checks only the files that differ in the next copy. */
const typesFile = 'dist/.tsbuildinfo-check';
const lastTypes = join(await mustMakeFolder({ after }), 'types');

describe('the project without an example', () => {
  for (const name of exampleNames) {
    it(`the project without ${name} passes its check and starts`, async (t) => {
      const folder = await mustCopyWithout(t, [name]);
      if (existsSync(lastTypes)) await cp(lastTypes, join(folder, typesFile));
      await mustRun(folder, 'npm', 'run', '--silent', 'check');
      await cp(join(folder, typesFile), lastTypes);
      await assertStarts(t, folder);
    });
  }
});
