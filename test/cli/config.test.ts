import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import * as z from 'zod';
import { commandOf } from '../helpers/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-config-'));
writeFileSync(join(folder, '.env'), 'APP_PROJECT_NAME=Ledger\n');
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command in a folder with a `.env`, with only this environment. */
function run(env: Record<string, string>, ...argv: string[]) {
  return spawnSync(process.execPath, [...commandOf('cli/config'), ...argv], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
}

describe('npm run config', () => {
  test('npm run config prints each variable with its value and origin, masks secrets, and appends warnings', () => {
    const env = { DATABASE_URL: 'postgres://ada:hunter2@db/app', APP_PROT: '1' };
    const { status, stdout, stderr } = run(env, '--port', '9000');
    assert.equal(status, 0, stderr);
    const lines = stdout.trimEnd().split('\n');
    const line = (name: string) => lines.find((one) => one.startsWith(`${name} `))?.split(/ {2,}/);
    assert.deepEqual(line('APP_PROJECT_NAME'), ['APP_PROJECT_NAME', 'Ledger', '.env']);
    assert.deepEqual(line('APP_PORT'), ['APP_PORT', '9000', 'flag']);
    assert.deepEqual(line('APP_HOST'), ['APP_HOST', '127.0.0.1', 'default']);
    assert.deepEqual(line('APP_DATABASE_URL'), [
      'APP_DATABASE_URL',
      'postgres://ada:***@db/app',
      'environment (DATABASE_URL)',
    ]);
    assert.match(lines.at(-1) ?? '', /^warning: APP_PROT, .* did you mean APP_PORT\.$/);
  });

  test('npm run config names the file of a secret and masks its text', () => {
    const path = join(folder, 'database-url');
    writeFileSync(path, 'postgres://ada:hunter2@db/app\n');
    const { status, stdout, stderr } = run({ APP_DATABASE_URL_FILE: path });
    assert.equal(status, 0, stderr);
    const line = stdout.split('\n').find((one) => one.startsWith('APP_DATABASE_URL '));
    assert.deepEqual(line?.split(/ {2,}/), [
      'APP_DATABASE_URL',
      'postgres://ada:***@db/app',
      `environment (APP_DATABASE_URL_FILE=${path})`,
    ]);
  });

  test('npm run config -- --json prints the same as JSON', () => {
    const { stdout } = run({ APP_WORKERS: '2' }, '--json');
    const variable = z.object({ name: z.string(), value: z.string(), origin: z.string() });
    const printed = z
      .object({ variables: z.array(variable), warnings: z.array(z.string()) })
      .parse(JSON.parse(stdout));
    assert.deepEqual(
      printed.variables.find(({ name }) => name === 'APP_WORKERS'),
      { name: 'APP_WORKERS', value: '2', origin: 'environment' },
    );
  });

  test('npm run config prints all errors and exits with code 1 if the program would not start', () => {
    const { status, stdout, stderr } = run({ APP_PORT: 'x', APP_DEBUG: 'x' });
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.deepEqual(
      stderr
        .trimEnd()
        .split('\n')
        .map((error) => error.split(' ')[0]),
      ['APP_DEBUG', 'APP_PORT'],
    );
  });

  test('npm run config prints one sentence and exits with code 1 for an unknown flag', () => {
    const { status, stderr } = run({}, '--jsno');
    assert.equal(status, 1);
    assert.equal(stderr, 'There is no flag --jsno: see --help for the flags.\n');
  });
});
