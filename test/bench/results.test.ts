import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findNewestResults, machineSchema, readResults } from '../../bench/results.ts';
import { StartError } from '../../src/errors.ts';

test('the newest results are those of the last moment, each kind by itself', (t) => {
  const folder = makeFolder(t);
  for (const name of [
    '2026-01-31T09-00-00Z.json',
    '2026-01-31T12-00-00Z.json',
    '2025-12-31T23-00-00Z.json',
    'jobs-2026-02-01T00-00-00Z.json',
    'notes.txt',
  ]) {
    writeFileSync(join(folder, name), '{}');
  }
  assert.equal(findNewestResults('main', folder), join(folder, '2026-01-31T12-00-00Z.json'));
  assert.equal(findNewestResults('jobs', folder), join(folder, 'jobs-2026-02-01T00-00-00Z.json'));
  assert.equal(findNewestResults('micro', folder), undefined);
  assert.equal(findNewestResults('main', join(folder, 'nowhere')), undefined);
});

test('a results file is read, and another file is rejected with its name', (t) => {
  const file = join(makeFolder(t), 'machine.json');
  const machine = {
    processor: 'A fast one',
    processors: 2,
    memoryBytes: 1e9,
    system: 'linux',
    loadBefore: 0,
  };
  writeFileSync(file, JSON.stringify(machine));
  assert.deepEqual(readResults(file, machineSchema), machine);
  for (const text of ['{"processor":"A fast one"}', '{']) {
    writeFileSync(file, text);
    assert.throws(
      () => readResults(file, machineSchema),
      (error) => error instanceof StartError && error.message.includes(file),
    );
  }
});

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-results-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
