import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { propertyRuns } from '../../helpers/property-runs.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env: { SECURITY_JWT_SECRET: testSecret, ...env }, envFile: null });
const portOf = (env: Env) => load(env).settings.server.management;

function errorsOf(env: Env): string[] {
  try {
    load(env);
    return [];
  } catch (error) {
    assert.ok(error instanceof StartError);
    return error.message.split('\n');
  }
}

const deployed = {
  APP_ENVIRONMENT: 'staging',
  APP_DATABASE_URL: 'postgres://db/strata',
  APP_SMTP_URL: 'smtps://mail.example.com:465',
  APP_MAIL_FROM: 'a@example.com',
};
const token = 'kP3vQ8xZ1mWc7RtY2bNs==';

describe('the management port', () => {
  for (const [name, env, expected] of [
    ['is 9181 by default, and may move in local', {}, { port: 9181, mayMove: true }],
    ['is exactly 9181 in staging', deployed, { port: 9181, mayMove: false }],
    ['is off in test', { APP_ENVIRONMENT: 'test' }, null],
    [
      'is open in test if it is set',
      { APP_ENVIRONMENT: 'test', APP_MANAGEMENT_PORT: '0' },
      { port: 0, mayMove: false },
    ],
    ['does not move if it is set', { APP_MANAGEMENT_PORT: '9200' }, { port: 9200, mayMove: false }],
    ['is not opened if it is off', { APP_MANAGEMENT_PORT: 'OFF' }, null],
  ] as const) {
    test(`the management port ${name}`, () => assert.deepEqual(portOf(env), expected));
  }

  for (const wrong of ['-1', '65536', 'none', '9181a']) {
    test(`APP_MANAGEMENT_PORT=${wrong} is rejected with the valid values`, () => {
      const [error = '', ...others] = errorsOf({ APP_MANAGEMENT_PORT: wrong });
      assert.deepEqual(others, []);
      assert.match(
        error,
        /^APP_MANAGEMENT_PORT is .* but must be auto, off, or an integer from 0 to 65535\.$/,
      );
    });
  }

  for (const env of [{ APP_PORT: '9181' }, { APP_PORT: '8000', APP_MANAGEMENT_PORT: '8000' }] as const) {
    test(`the management port must differ from the public one: ${JSON.stringify(env)}`, () => {
      const [error = '', ...others] = errorsOf(env);
      assert.deepEqual(others, []);
      assert.match(error, /^APP_PORT and APP_MANAGEMENT_PORT are both \d+: change one of them/);
    });
  }

  test('both ports can be 0', () => {
    assert.deepEqual(errorsOf({ APP_PORT: '0', APP_MANAGEMENT_PORT: '0' }), []);
  });

  test('the public port can be 9181 while the management port is off', () => {
    assert.deepEqual(errorsOf({ APP_PORT: '9181', APP_MANAGEMENT_PORT: 'off' }), []);
  });
});

describe('the token of the management port', () => {
  const open = { ...deployed, APP_MANAGEMENT_HOST: '0.0.0.0' };

  test('staging needs a token if other machines reach the port', () => {
    const [error = '', ...others] = errorsOf(open);
    assert.deepEqual(others, []);
    assert.match(error, /^APP_MANAGEMENT_TOKEN is not set, and staging does not open/);
    assert.deepEqual(errorsOf({ ...open, APP_MANAGEMENT_TOKEN: token }), []);
    assert.deepEqual(errorsOf({ ...open, APP_MANAGEMENT_PORT: 'off' }), []);
  });

  for (const host of ['127.0.0.1', '127.8.8.8', '::1', 'localhost']) {
    test(`staging needs no token on ${host}`, () => {
      assert.deepEqual(errorsOf({ ...deployed, APP_MANAGEMENT_HOST: host }), []);
    });
  }

  test('a missing token on a reachable port is a warning in local', () => {
    const [warning = '', ...others] = load({ APP_MANAGEMENT_HOST: '::' }).warnings;
    assert.deepEqual(others, []);
    assert.match(
      warning,
      /^APP_MANAGEMENT_HOST opens the management port to other machines.*the list of jobs/,
    );
    assert.deepEqual(load({ APP_MANAGEMENT_HOST: '::', APP_MANAGEMENT_TOKEN: token }).warnings, []);
    assert.deepEqual(load({ APP_MANAGEMENT_HOST: '::', APP_MANAGEMENT_PORT: 'off' }).warnings, []);
  });

  for (const weak of ['aaaaaaaaaaaaaaaa', '0123456789abcdef', 'abcdabcdabcdabcd', 'changeme-changeme']) {
    test(`the weak token ${weak} is rejected if other machines reach the port`, () => {
      for (const environment of ['local', 'test', 'staging', 'production']) {
        const env = {
          ...open,
          APP_ENVIRONMENT: environment,
          APP_MANAGEMENT_PORT: '9181',
          APP_MANAGEMENT_TOKEN: weak,
        };
        const errors = errorsOf(env).filter((error) => error.startsWith('APP_MANAGEMENT_TOKEN'));
        assert.equal(errors.length, 1, environment);
        assert.match(
          errors[0] ?? '',
          /other machines reach the management port: set it to the output of `openssl/,
        );
        assert.ok(!errors[0]?.includes(weak));
      }
      assert.deepEqual(
        errorsOf({ ...deployed, APP_MANAGEMENT_HOST: '127.0.0.1', APP_MANAGEMENT_TOKEN: weak }),
        [],
      );
    });
  }

  test('a random token is accepted', () => {
    for (let drawn = 0; drawn < propertyRuns(2_000); drawn += 1) {
      // The same tokens in every run: about one random token in a million is rejected, as it happens to contain words.
      const bytes = createHash('sha256').update(`token ${drawn}`).digest().subarray(0, 16);
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        assert.deepEqual(errorsOf({ ...open, APP_MANAGEMENT_TOKEN: bytes.toString(encoding) }), []);
      }
    }
  });

  for (const wrong of ['short', 'a'.repeat(201), 'sixteen letters and spaces', 'ümlaut-ümlaut-ümlaut']) {
    test(`the token ${wrong.slice(0, 30)} is rejected without being shown`, () => {
      const [error = '', ...others] = errorsOf({ APP_MANAGEMENT_TOKEN: wrong });
      assert.deepEqual(others, []);
      assert.match(error, /^APP_MANAGEMENT_TOKEN has an invalid value .* 16 to 200 letters/);
      assert.ok(!error.includes(wrong));
    });
  }

  test('the token is masked in the output of `npm run config`', () => {
    const { origins } = load({ APP_MANAGEMENT_TOKEN: token });
    assert.equal(origins.find(({ name }) => name === 'APP_MANAGEMENT_TOKEN')?.value, '***');
  });
});
