import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mustMakeFolder } from '../helpers/program.ts';
import { exitUnavailable, findMissing } from './tools.ts';

describe('a proof', () => {
  for (const [proof, tool, debian] of [
    ['pooler', 'pgbouncer', 'pgbouncer'],
    ['alerts', 'promtool', 'prometheus'],
    ['metrics', 'promtool', 'prometheus'],
    ['reload', 'nginx', 'nginx-light'],
    ['shared-limits', 'nginx', 'nginx-light'],
    ['browser', 'chromium', 'chromium'],
  ] as const) {
    it(`the proof ${proof} without ${tool} exits with one sentence and code 69`, () => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', join(import.meta.dirname, '..', 'prove.ts'), proof],
        { env: { PATH: '/nonexistent' }, encoding: 'utf8' },
      );
      const sentence = `${tool} is not installed: run \`apt-get install --no-install-recommends ${debian}\`.`;
      assert.deepEqual([status, stdout, stderr.trim()], [exitUnavailable, '', sentence]);
    });
  }

  it('a file that is not executable, and a folder with the name of the tool, do not count as the tool', async (t) => {
    const folder = await mustMakeFolder(t);
    writeFileSync(join(folder, 'wrk'), '', { mode: 0o644 });
    assert.equal(findMissing(['wrk'], folder).length, 1);
    mkdirSync(join(folder, 'bin'));
    writeFileSync(join(folder, 'bin', 'wrk'), '', { mode: 0o755 });
    assert.deepEqual(findMissing(['wrk'], `${folder}:${folder}/bin`), []);
  });
});
