import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { keepProgram } from '../../src/program/program-copy.ts';
import { mustMakeFolder } from '../helpers/program.ts';

async function mustKeep(t: TestContext) {
  const folder = await mustMakeFolder(t);
  const entry = join(folder, 'main.js');
  writeFileSync(entry, 'first');
  const kept = keepProgram(entry);
  t.after(kept.discard);
  return { entry, kept };
}

describe('a kept program', () => {
  it('is started from where it lies while its files are as they were', async (t) => {
    const { entry, kept } = await mustKeep(t);
    assert.deepEqual(kept.placeOf(entry), { entry });
  });

  it('is started from the copy, with the settings of then, when its files have changed', async (t) => {
    const { entry, kept } = await mustKeep(t);
    writeFileSync(entry, 'the second version');
    const place = kept.placeOf(entry);
    assert.equal(readFileSync(place.entry, 'utf8'), 'first');
    assert.ok(place.envFile !== undefined && existsSync(place.envFile));
    assert.ok(existsSync(join(dirname(place.envFile), 'package.json')));
    assert.ok(existsSync(join(dirname(place.envFile), 'node_modules', 'zod')));
  });

  it('is started from where it lies once the copy is gone', async (t) => {
    const { entry, kept } = await mustKeep(t);
    writeFileSync(entry, 'the second version');
    kept.discard();
    kept.discard();
    assert.deepEqual(kept.placeOf(entry), { entry });
  });

  it('of a process that was killed is removed by the next one', async (t) => {
    const { pid } = spawnSync(process.execPath, ['--eval', '']);
    const abandoned = join(tmpdir(), `strata-program-${pid}-test`);
    mkdirSync(abandoned);
    await mustKeep(t);
    assert.ok(!existsSync(abandoned));
  });
});
