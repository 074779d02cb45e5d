import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generatedPages } from '../../src/cli/generated-pages.ts';

const source = join(import.meta.dirname, '..', '..', 'src');

test('the page of the metrics has every metric that the sources declare, whichever process counts it', () => {
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
