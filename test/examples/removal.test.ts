/**
 * The examples leave nothing behind: a copy of the project without one of them passes the check and starts.
 * `your-own.test.ts` deletes all of them, and `npm run prove -- examples` also runs the whole suite without each.
 */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { buildProgram, startProgram } from '../helpers/program.ts';
import { exampleNames, mustCopyWithout, mustRun } from '../helpers/removed-examples.ts';

async function assertStarts(t: TestContext, folder: string): Promise<void> {
  await buildProgram(folder, ['main.ts']);
  const program = startProgram(t, { APP_ENVIRONMENT: 'test' }, [], folder);
  const response = await fetch(`${await program.ready}/api/v1/health/live`);
  assert.equal(response.status, 200);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0, program.stderr());
}

describe('the project without an example', () => {
  for (const name of exampleNames) {
    it(`the project without ${name} passes its check and starts`, async (t) => {
      const folder = await mustCopyWithout(t, [name]);
      // Biome looks at each file alone, and this is the only one that differs from the project.
      await mustRun(folder, 'node_modules/.bin/biome', 'check', '--error-on-warnings', 'src/features.ts');
      await mustRun(folder, 'node_modules/.bin/tsc', '-p', 'tsconfig.json');
      await assertStarts(t, folder);
    });
  }
});
