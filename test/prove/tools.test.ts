import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mustMakeFolder } from '../helpers/program.ts';
import { exitUnavailable, findMissing } from './tools.ts';

describe('a proof', () => {
  const packages: Readonly<Record<string, string>> = {
    pgbouncer: 'pgbouncer',
    promtool: 'prometheus',
    nginx: 'nginx-light',
    'redis-server': 'redis-server',
    chromium: 'chromium',
  };
  const proofs: readonly (readonly [proof: string, ...tools: readonly string[]])[] = [
    ['pooler', 'pgbouncer'],
    ['alerts', 'promtool'],
    ['metrics', 'promtool'],
    ['reload', 'nginx'],
    ['shared-limits', 'nginx', 'redis-server'],
    ['browser', 'chromium'],
  ];
  for (const [proof, ...tools] of proofs) {
    it(`the proof ${proof} without ${tools.join(' and ')} exits with a sentence for each and code 69`, () => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', join(import.meta.dirname, '..', 'prove.ts'), proof],
        { env: { PATH: '/nonexistent' }, encoding: 'utf8' },
      );
      const sentences = tools.map(
        (tool) =>
          `${tool} is not installed: run \`apt-get install --no-install-recommends ${packages[tool]}\`.`,
      );
      assert.deepEqual([status, stdout, stderr.trim().split('\n')], [exitUnavailable, '', sentences]);
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
