import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Choice, chooseFiles, orderFiles } from './choose-files.ts';
import { type FoundFile, findTestFiles } from './test-files.ts';

function found(path: string, needs: Partial<FoundFile> = {}): FoundFile {
  return {
    ...{ path, isAlone: false, needsDatabase: false, startsProcesses: false, isBrowser: false },
    ...needs,
  };
}

const files = [
  found('test/db/pool.test.ts', { needsDatabase: true }),
  found('test/e2e/page.browser.test.ts', { isBrowser: true, startsProcesses: true }),
  found('test/e2e/stop.test.ts', { startsProcesses: true }),
  found('test/http/router.test.ts'),
];

function choose(choice: Partial<Choice>) {
  const { files: chosen, complaints } = chooseFiles(files, {
    ...{ root: '/project', words: [], isQuick: false },
    ...choice,
  });
  return { paths: chosen.map(({ path }) => path), complaints };
}

describe('the choice of test files', () => {
  it('without words all files are chosen, except those that need a browser', () => {
    assert.deepEqual(choose({}).paths, [
      'test/db/pool.test.ts',
      'test/e2e/stop.test.ts',
      'test/http/router.test.ts',
    ]);
  });

  it('a word chooses the files whose path contains it, also as a relative or an absolute path', () => {
    for (const word of [
      'router',
      'test/http/router.test.ts',
      './test/http/router.test.ts',
      '/project/test/http',
    ]) {
      assert.deepEqual(choose({ words: [word] }), { paths: ['test/http/router.test.ts'], complaints: [] });
    }
  });

  it('the word browser chooses the files that need a browser', () => {
    assert.deepEqual(choose({ words: ['browser'] }).paths, ['test/e2e/page.browser.test.ts']);
  });

  it('each word that chooses no file is reported', () => {
    const { complaints } = choose({ words: ['nowhere', 'router', 'test/htp'] });
    assert.deepEqual(complaints, ['No test file matches "nowhere".', 'No test file matches "test/htp".']);
  });

  it('the quick files need no database, no browser and no other process', () => {
    assert.deepEqual(choose({ isQuick: true }).paths, ['test/http/router.test.ts']);
    assert.deepEqual(choose({ isQuick: true, words: ['pool'] }).complaints, [
      'No quick test file matches "pool".',
    ]);
  });

  it('the longest files run first, and a file that starts processes counts as long before it has run', () => {
    const order = (durations: Record<string, number>, seed?: string) =>
      orderFiles(files, { durations, seed }).map(({ path }) => path);
    assert.deepEqual(order({}), [
      'test/e2e/page.browser.test.ts',
      'test/e2e/stop.test.ts',
      'test/db/pool.test.ts',
      'test/http/router.test.ts',
    ]);
    assert.equal(order({ 'test/http/router.test.ts': 60_000 })[0], 'test/http/router.test.ts');
    assert.deepEqual(order({}, '7'), order({}, '7'));
    assert.notDeepEqual(order({}, '7'), order({}, '8'));
  });

  it('the needs of a file follow from what it imports, also through helpers', () => {
    const needs = new Map(findTestFiles(process.cwd()).map((file) => [file.path, file]));
    assert.equal(needs.get('test/jobs/store.test.ts')?.needsDatabase, true);
    assert.equal(needs.get('test/e2e/stop.test.ts')?.startsProcesses, true);
    assert.equal(needs.get('test/jobs/thread/thread-pool.test.ts')?.startsProcesses, true);
    assert.deepEqual(needs.get('test/http/router.test.ts'), found('test/http/router.test.ts'));
  });
});
