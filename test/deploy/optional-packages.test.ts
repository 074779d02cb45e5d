import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { readProjectFile, root } from '../helpers/deployment.ts';

/** Runs the script of the Dockerfile that prints which optional packages the image does not need. */
function omitted(...parts: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['deploy/container/optional-packages.mjs', ...parts],
    { cwd: root, encoding: 'utf8' },
  );
  return { status, stderr, packages: stdout.split('\n').filter((line) => line !== '') };
}

describe('the optional packages of the image', () => {
  test('without a part, the image has none of the optional packages of the core', () => {
    // One row for each optional package of the core.
    const [, section = ''] = /## Optional\n(.*?)\n## /s.exec(readProjectFile('docs/dependencies.md')) ?? [];
    const rows = Array.from(section.matchAll(/^\| `([^`]+)` \|/gm), ([, name = '']) => name);
    assert.ok(rows.length >= 5);
    assert.deepEqual(omitted('').packages.sort(), rows.sort());
  });

  test('the image has the packages of the chosen parts', () => {
    const { packages } = omitted('mail, redis');
    assert.ok(!packages.includes('nodemailer') && !packages.includes('@redis/client'));
    assert.ok(packages.includes('maxmind'));
    assert.deepEqual(omitted('mail', 'uploads', 'redis', 'geoip', 'docs').packages, []);
  });

  test('an unknown part fails the build with a sentence', () => {
    const { status, stderr } = omitted('mail smtp');
    assert.equal(status, 1);
    assert.equal(stderr, 'There is no part smtp: choose from mail, uploads, redis, geoip, docs.\n');
  });

  test('the Dockerfile and its documentation have the same default', () => {
    const [, parts = ''] = /^ARG OPTIONAL="(.*)"$/m.exec(readProjectFile('Dockerfile')) ?? [];
    assert.equal(omitted(parts).status, 0);
    assert.ok(readProjectFile('docs/deployment.md').includes(`| \`OPTIONAL\` | \`${parts}\` |`));
  });
});
