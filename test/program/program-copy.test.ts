import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { copyProgram } from '../../src/program/program-copy.ts';
import { projectRoot } from '../../src/project-root.ts';
import { mustMakeFolder } from '../helpers/program.ts';

async function mustCopy(t: TestContext) {
  const folder = await mustMakeFolder(t);
  const entry = join(folder, 'main.js');
  writeFileSync(entry, 'first');
  const copy = copyProgram({ entry, folder: projectRoot, cwd: folder });
  t.after(copy.discard);
  return { entry, copy };
}

describe('a program copy', () => {
  it('the program starts from its original files while they are unchanged', async (t) => {
    const { entry, copy } = await mustCopy(t);
    assert.deepEqual(copy.locate(entry), { entry });
  });

  it('the program starts from the copy, with the settings of that time, when its files have changed', async (t) => {
    const { entry, copy } = await mustCopy(t);
    writeFileSync(entry, 'the second version');
    const location = copy.locate(entry);
    assert.equal(readFileSync(location.entry, 'utf8'), 'first');
    assert.ok(location.envFile !== undefined && existsSync(location.envFile));
    assert.ok(existsSync(join(dirname(location.envFile), 'package.json')));
    assert.ok(existsSync(join(dirname(location.envFile), 'node_modules', 'zod')));
  });

  it('the program starts from its original files after the copy was removed', async (t) => {
    const { entry, copy } = await mustCopy(t);
    writeFileSync(entry, 'the second version');
    copy.discard();
    copy.discard();
    assert.deepEqual(copy.locate(entry), { entry });
  });

  it('the copy of a process that was killed is removed by the next process', async (t) => {
    const { pid } = spawnSync(process.execPath, ['--eval', '']);
    const abandoned = join(tmpdir(), `strata-program-${pid}-test`);
    mkdirSync(abandoned);
    await mustCopy(t);
    assert.ok(!existsSync(abandoned));
  });
});
