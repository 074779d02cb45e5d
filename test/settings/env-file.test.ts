import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { loadSettings } from '../../src/settings/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-env-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** Loads the settings from a file with this text and the environment `env`. */
function load(text: string, env: Record<string, string> = {}) {
  const envFile = join(folder, `${++count}.env`);
  writeFileSync(envFile, text);
  return loadSettings({ env, envFile });
}

describe('a .env file', () => {
  test('a .env file overrides the defaults, and the environment overrides the file', () => {
    const { settings, origins } = load('APP_PORT=9000\nAPP_WORKERS=2\n', { APP_WORKERS: '3' });
    assert.equal(settings.server.port, 9000);
    assert.equal(settings.server.workers, 3);
    const origin = (name: string) => origins.find((one) => one.name === name)?.origin;
    assert.deepEqual(
      [origin('APP_PORT'), origin('APP_WORKERS'), origin('APP_HOST')],
      ['.env', 'environment', 'default'],
    );
  });

  test('an alias in the environment overrides the .env file', () => {
    assert.equal(load('APP_PORT=9000', { PORT: '9001' }).settings.server.port, 9001);
  });

  test('a .env file sets a variable that is empty in the environment', () => {
    assert.equal(load('APP_PORT=9000', { APP_PORT: '' }).settings.server.port, 9000);
  });

  test('a .env file may have comments, empty lines, exports, quotes, CRLF and a byte order mark', () => {
    const { settings } = load(
      '\uFEFFAPP_PORT=9000\r\n\r\n# a comment with a "quote\r\nexport APP_WORKERS=2 # two\r\nAPP_PROJECT_NAME="A # B"\r\nAPP_CORS_ALLOW_ORIGINS=["http://localhost:3000"]\r\n',
    );
    assert.equal(settings.server.port, 9000);
    assert.equal(settings.server.workers, 2);
    assert.equal(settings.application.projectName, 'A # B');
    assert.deepEqual(settings.application.corsAllowOrigins, ['http://localhost:3000']);
  });

  test('a .env file may have a quoted value over several lines', () => {
    const { settings } = load(`APP_ALLOWED_HOSTS='["a.example",\n"b.example"]'\nAPP_PORT=9000\n`);
    assert.deepEqual(settings.application.allowedHosts, ['a.example', 'b.example']);
    assert.equal(settings.server.port, 9000);
  });

  test('an unknown variable in a .env file is a warning that names the file', () => {
    assert.deepEqual(load('APP_PROT=1').warnings, [
      'APP_PROT, set in .env, is ignored: did you mean APP_PORT.',
    ]);
  });

  for (const [name, text, expected] of [
    ['a line that is not NAME=value', 'APP_PORT=9000\nhunter2\nAPP_WORKERS=2\n', /^Line 2 of .* is invalid/],
    ['a name with a space', 'APP PORT=9000', /^Line 1 of .* is invalid/],
    [
      'a quote that is never closed',
      'APP_PORT=9000\n\nAPP_DATABASE_URL="hunter2\n',
      /^Line 3 of .* never closed/,
    ],
  ] as const) {
    test(`a .env file with ${name} is rejected with the line number and without the text`, () => {
      assert.throws(
        () => load(text),
        (error) =>
          error instanceof StartError && expected.test(error.message) && !/hunter2/.test(error.message),
      );
    });
  }

  test('an explicitly named .env file that does not exist is rejected', () => {
    assert.throws(() => loadSettings({ env: {}, envFile: join(folder, 'missing.env') }), {
      name: 'StartError',
      message: /missing\.env cannot be read \(ENOENT\)/,
    });
  });

  test('a .env file that is a folder is rejected', () => {
    assert.throws(() => loadSettings({ env: {}, envFile: folder }), {
      name: 'StartError',
      message: /EISDIR/,
    });
  });
});
