import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { type LoadedSettings, loadSettings, type SettingsSource } from '../../src/settings/load.ts';
import { captureSecretFiles } from '../../src/settings/sources.ts';
import { variables } from '../../src/settings/table.ts';
import { testSecret } from '../helpers/test-secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-secret-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

type Env = Record<string, string>;

const load = (env: Env): LoadedSettings => loadSettings({ env, envFile: null });

function errorsOf(source: SettingsSource): string[] {
  try {
    loadSettings({ envFile: null, ...source });
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return error.message.split('\n');
  }
  return [];
}

const url = 'postgres://strata:hunter2@db/strata';
const secretFile = file('jwt', `${testSecret}\n`);
const urlFile = file('url', url);

const examples: Readonly<Record<string, string>> = {
  APP_DATABASE_URL: url,
  APP_SMTP_URL: 'smtp://strata:hunter2@mail.example.com:587',
  APP_MANAGEMENT_TOKEN: testSecret,
  SECURITY_JWT_SECRET: testSecret,
  SECURITY_JWT_SECRETS: `["${testSecret}"]`,
  SECURITY_REDIS_URL: 'redis://strata:hunter2@cache:6379/0',
  SECURITY_ALERT_WEBHOOK_URL: 'https://hooks.example.com/services/hunter2',
  SECURITY_ALERT_WEBHOOK_SECRET: testSecret,
  APP_TASKS_BROKER_URL: url,
  APP_TASKS_RESULT_BACKEND: url,
};

describe('a secret in a file', () => {
  for (const { name, secret } of variables) {
    if (secret === undefined) continue;
    test(`${name} can be in the file that ${name}_FILE names`, () => {
      const text = examples[name];
      assert.ok(text !== undefined, `add an example of ${name}`);
      const path = file(name, `${text}\n`);
      // The other URLs of the database need it.
      const others: Env = name.startsWith('APP_TASKS') ? { APP_DATABASE_URL: url } : {};
      const inFile = load({ ...others, [`${name}_FILE`]: path });
      const direct = load({ ...others, [name]: text });
      assert.deepEqual(inFile.settings.security, direct.settings.security);
      assert.deepEqual(inFile.settings.server, direct.settings.server);
      assert.deepEqual(inFile.settings.tasks, direct.settings.tasks);
      assert.equal(inFile.settings.application.databaseUrl, direct.settings.application.databaseUrl);
      assert.equal(inFile.settings.application.smtpUrl, direct.settings.application.smtpUrl);
      const found = inFile.origins.find((each) => each.name === name);
      assert.equal(found?.origin, 'environment');
      assert.deepEqual(found?.file, { variable: `${name}_FILE`, path });
      assert.doesNotMatch(found?.value ?? '', new RegExp(`hunter2|${testSecret}`));
    });
  }

  test('the file of an alias sets the variable', () => {
    const { settings, origins } = load({ DATABASE_URL_FILE: urlFile });
    assert.equal(settings.application.databaseUrl, url);
    assert.equal(settings.application.databaseNamedBy, 'DATABASE_URL_FILE in the environment');
    assert.equal(origins.find(({ name }) => name === 'APP_DATABASE_URL')?.alias, 'DATABASE_URL');
  });

  test('white space around the text of the file is removed', () => {
    const { settings } = load({ SECURITY_JWT_SECRET_FILE: file('spaces', ` ${testSecret} \r\n\n`) });
    assert.deepEqual(settings.security.jwtSecrets, [testSecret]);
  });

  test('a secret and its file in the same source are an error, even with the same text', () => {
    assert.deepEqual(
      errorsOf({ env: { SECURITY_JWT_SECRET: testSecret, SECURITY_JWT_SECRET_FILE: secretFile } }),
      [
        'SECURITY_JWT_SECRET and SECURITY_JWT_SECRET_FILE are both set in the environment: remove one of them.',
      ],
    );
  });

  test('a file named in the environment wins over the secret in .env', () => {
    const envFile = file('.env', `SECURITY_JWT_SECRET=${'x'.repeat(40)}\n`);
    const { settings } = loadSettings({ env: { SECURITY_JWT_SECRET_FILE: secretFile }, envFile });
    assert.deepEqual(settings.security.jwtSecrets, [testSecret]);
  });

  test('an invalid text in the file is an error that names the variable and does not contain the text', () => {
    const path = file('invalid', 'mysql://root:hunter2@host/db');
    const [error = '', ...others] = errorsOf({ env: { APP_DATABASE_URL_FILE: path } });
    assert.deepEqual(others, []);
    assert.match(
      error,
      /^APP_DATABASE_URL has an invalid value in the file that APP_DATABASE_URL_FILE names \(not shown/,
    );
    assert.doesNotMatch(error, /hunter2/);
  });

  test('a weak secret in a file stops the start', () => {
    const path = file('weak', 'hunter2');
    assert.match(errorsOf({ env: { SECURITY_JWT_SECRET_FILE: path } }).join(), /^SECURITY_JWT_SECRET /);
  });
});

describe('a file that cannot be used', () => {
  mkdirSync(join(folder, 'directory'));
  for (const [what, path, expected] of [
    ['does not exist', join(folder, 'missing'), /which does not exist/],
    ['is empty', file('empty', ' \n'), /which is empty/],
    ['is a folder', join(folder, 'directory'), /which is not a regular file/],
    ['is too large', file('large', 'hunter2 '.repeat(10_000)), /which is larger than 65536 bytes/],
    ['is not text', file('binary', new Uint8Array([104, 0xff, 0xfe])), /which is not UTF-8 text/],
    ['is below another file', join(secretFile, 'jwt'), /which cannot be read \(ENOTDIR\)/],
  ] as const) {
    test(`a file that ${what} stops the start in production with one sentence that names the variable`, () => {
      const env = {
        APP_ENVIRONMENT: 'production',
        APP_ALLOWED_HOSTS: 'api.example.com',
        APP_DATABASE_URL_FILE: urlFile,
        SECURITY_JWT_SECRET_FILE: path,
      };
      const [error = '', ...others] = errorsOf({ env });
      assert.deepEqual(others, []);
      assert.match(error, /^SECURITY_JWT_SECRET_FILE names the file ".*", /);
      assert.match(error, expected);
      assert.match(error, /, in the environment: correct the path or the file\.$/);
      assert.doesNotMatch(error, /hunter2/);
    });
  }

  test('a secret in the variable of the path is not shown', () => {
    const [error = ''] = errorsOf({ env: { APP_DATABASE_URL_FILE: url } });
    assert.match(
      error,
      /^APP_DATABASE_URL_FILE names a file \(its path is not absolute, so it is not shown\)/,
    );
    assert.doesNotMatch(error, /hunter2/);
  });
});

describe('unknown variables of files', () => {
  test('the file of a setting that is no secret is ignored with a warning', () => {
    assert.deepEqual(load({ APP_PORT_FILE: secretFile }).warnings, [
      'APP_PORT_FILE, set in the environment, is ignored: only secrets are read from files, so set APP_PORT itself.',
    ]);
  });

  test('a misspelt file of a secret stops the start with the nearest name', () => {
    assert.deepEqual(errorsOf({ env: { SECURITY_JWT_SECRT_FILE: secretFile } }), [
      'SECURITY_JWT_SECRT_FILE, set in the environment, is not a setting and protects nothing: did you mean SECURITY_JWT_SECRET_FILE.',
    ]);
  });
});

test('captured secrets keep their values after the file has changed', () => {
  const path = file('captured', testSecret);
  const env = { SECURITY_JWT_SECRET_FILE: path, APP_PORT: '9000' };
  const captured = captureSecretFiles({ env, envFile: null });
  writeFileSync(path, 'another');
  const { settings } = load({ ...env, ...captured });
  assert.deepEqual(settings.security.jwtSecrets, [testSecret]);
  assert.deepEqual(Object.keys(captured).sort(), ['SECURITY_JWT_SECRET', 'SECURITY_JWT_SECRET_FILE']);
});
