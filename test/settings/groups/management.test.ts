import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env: { SECURITY_JWT_SECRET: testSecret, ...env }, envFile: null });
const portOf = (env: Env) => load(env).settings.server.management;

function faultsOf(env: Env): string[] {
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
    ['is 9181 by itself, and gives way locally', {}, { port: 9181, mayMove: true }],
    ['is 9181 and nothing else in staging', deployed, { port: 9181, mayMove: false }],
    ['is off in tests', { APP_ENVIRONMENT: 'test' }, null],
    [
      'is open in tests that ask for it',
      { APP_ENVIRONMENT: 'test', APP_MANAGEMENT_PORT: '0' },
      { port: 0, mayMove: false },
    ],
    ['stays where it was put', { APP_MANAGEMENT_PORT: '9200' }, { port: 9200, mayMove: false }],
    ['is nowhere when it is off', { APP_MANAGEMENT_PORT: 'OFF' }, null],
  ] as const) {
    test(name, () => assert.deepEqual(portOf(env), expected));
  }

  for (const wrong of ['-1', '65536', 'none', '9181a']) {
    test(`refuses ${wrong} and says what it takes`, () => {
      const [fault = '', ...others] = faultsOf({ APP_MANAGEMENT_PORT: wrong });
      assert.deepEqual(others, []);
      assert.match(
        fault,
        /^APP_MANAGEMENT_PORT got .* but takes auto, off, or an integer from 0 to 65535\.$/,
      );
    });
  }

  for (const env of [{ APP_PORT: '9181' }, { APP_PORT: '8000', APP_MANAGEMENT_PORT: '8000' }] as const) {
    test(`must not be the public one: ${JSON.stringify(env)}`, () => {
      const [fault = '', ...others] = faultsOf(env);
      assert.deepEqual(others, []);
      assert.match(fault, /^APP_PORT and APP_MANAGEMENT_PORT are both \d+: give one of them another port/);
    });
  }

  test('may be any free one, as the public one may', () => {
    assert.deepEqual(faultsOf({ APP_PORT: '0', APP_MANAGEMENT_PORT: '0' }), []);
  });

  test('is no matter to the public one while it is off', () => {
    assert.deepEqual(faultsOf({ APP_PORT: '9181', APP_MANAGEMENT_PORT: 'off' }), []);
  });
});

describe('the token of the management port', () => {
  const open = { ...deployed, APP_MANAGEMENT_HOST: '0.0.0.0' };

  test('must be there where the port is open to other machines in staging', () => {
    const [fault = '', ...others] = faultsOf(open);
    assert.deepEqual(others, []);
    assert.match(fault, /^APP_MANAGEMENT_TOKEN is not set, and staging does not open/);
    assert.deepEqual(faultsOf({ ...open, APP_MANAGEMENT_TOKEN: token }), []);
    assert.deepEqual(faultsOf({ ...open, APP_MANAGEMENT_PORT: 'off' }), []);
  });

  for (const host of ['127.0.0.1', '127.8.8.8', '::1', 'localhost']) {
    test(`need not be there on ${host}`, () => {
      assert.deepEqual(faultsOf({ ...deployed, APP_MANAGEMENT_HOST: host }), []);
    });
  }

  test('is missed with a warning locally', () => {
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
    test(`must be hard to guess where the port is open to other machines: ${weak} is refused`, () => {
      for (const environment of ['local', 'test', 'staging', 'production']) {
        const env = {
          ...open,
          APP_ENVIRONMENT: environment,
          APP_MANAGEMENT_PORT: '9181',
          APP_MANAGEMENT_TOKEN: weak,
        };
        const faults = faultsOf(env).filter((fault) => fault.startsWith('APP_MANAGEMENT_TOKEN'));
        assert.equal(faults.length, 1, environment);
        assert.match(
          faults[0] ?? '',
          /other machines reach the management port: set it to the output of `openssl/,
        );
        assert.ok(!faults[0]?.includes(weak));
      }
      assert.deepEqual(
        faultsOf({ ...deployed, APP_MANAGEMENT_HOST: '127.0.0.1', APP_MANAGEMENT_TOKEN: weak }),
        [],
      );
    });
  }

  test('that is random is accepted', () => {
    for (let drawn = 0; drawn < 2_000; drawn += 1) {
      const bytes = randomBytes(16);
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        assert.deepEqual(faultsOf({ ...open, APP_MANAGEMENT_TOKEN: bytes.toString(encoding) }), []);
      }
    }
  });

  for (const wrong of ['short', 'a'.repeat(201), 'sixteen letters and spaces', 'ümlaut-ümlaut-ümlaut']) {
    test(`refuses ${wrong.slice(0, 30)} without showing it`, () => {
      const [fault = '', ...others] = faultsOf({ APP_MANAGEMENT_TOKEN: wrong });
      assert.deepEqual(others, []);
      assert.match(fault, /^APP_MANAGEMENT_TOKEN got .* 16 to 200 letters/);
      assert.ok(!fault.includes(wrong));
    });
  }

  test('is masked in what `npm run config` prints', () => {
    const { origins } = load({ APP_MANAGEMENT_TOKEN: token });
    assert.equal(origins.find(({ name }) => name === 'APP_MANAGEMENT_TOKEN')?.value, '***');
  });
});
