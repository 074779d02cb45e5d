import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { generatedPages } from '../../src/cli/generated-pages.ts';

const root = join(import.meta.dirname, '..', '..');
const source = join(root, 'src');

for (const { path, content } of generatedPages()) {
  test(`${path} matches the code`, async () => {
    assert.equal(await readFile(join(root, path), 'utf8'), content, 'Run `npm run docs`.');
  });
}

test('docs/metrics.md has every metric that the sources declare, in whichever process it is counted', () => {
  const page = generatedPages().find(({ path }) => path === 'docs/metrics.md')?.content ?? '';
  const declared = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [
      ...readFileSync(join(source, file), 'utf8').matchAll(
        /\.(?:counter|gauge|histogram)\(\{\s*name: '(\w+)'/g,
      ),
    ])
    .map(([, name = '']) => name);
  assert.ok(declared.length > 10, `${declared}`);
  assert.deepEqual(
    declared.filter((name) => !page.includes(`| \`${name}\` |`)),
    [],
  );
});
