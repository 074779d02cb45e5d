import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { describePythonVersions, findPython, requirePython } from '../../bench/python.ts';
import { StartError } from '../../src/errors.ts';

test('BENCH_PYTHON names the interpreter, before the environment in the folder', (t) => {
  setPython(t, '/opt/python/bin/python');
  assert.equal(findPython(), '/opt/python/bin/python');
  assert.equal(requirePython(), '/opt/python/bin/python');
});

test('an interpreter that cannot run is reported by its path', (t) => {
  setPython(t, '/nowhere/python');
  assert.throws(
    () => describePythonVersions(),
    (error) => error instanceof StartError && error.message.includes('/nowhere/python'),
  );
});

function setPython(t: TestContext, path: string): void {
  const before = process.env.BENCH_PYTHON;
  process.env.BENCH_PYTHON = path;
  t.after(() => {
    if (before === undefined) delete process.env.BENCH_PYTHON;
    else process.env.BENCH_PYTHON = before;
  });
}
