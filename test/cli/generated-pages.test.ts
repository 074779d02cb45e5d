import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { generatedPages } from '../../src/cli/generated-pages.ts';

const root = join(import.meta.dirname, '..', '..');

for (const { path, content } of generatedPages()) {
  test(`${path} says what the code says`, async () => {
    assert.equal(await readFile(join(root, path), 'utf8'), content, 'Run `npm run docs`.');
  });
}
