import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { type LoadedSettings, loadSettings } from '../../../src/settings/load.ts';

type Env = Record<string, string>;

const load = (env: Env): LoadedSettings => loadSettings({ env, envFile: null });

/** The errors that stop a start with this environment, one per line. */
function errorsOf(env: Env): string[] {
  try {
    load(env);
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return error.message.split('\n');
  }
  return [];
}

const secret = '2f8c1d9e4b7a60355ce1f0a9d8b4276e1b3c5d7f90e2a4c6b8d0f1e3a5c7b9d1';
const other = 'c4e8a1f7302b5d9686f1e0c3a7b2d45981d3f5a7b9c0e2d4f6a8b1c3d5e7f9a0';
const deployed = { APP_DATABASE_URL: 'none', APP_ALLOWED_HOSTS: 'api.example.com' };

describe('the secrets of access tokens', () => {
  const secretsOf = (env: Env) => load(env).settings.security.jwtSecrets;

  test('the secrets come from the variable for one secret or from the variable for a list', () => {
    assert.deepEqual(secretsOf({}), []);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRET: secret }), [secret]);
    assert.deepEqual(secretsOf({ JWT_SECRET: secret }), [secret]);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRETS: `${other}, ${secret}` }), [other, secret]);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRETS: JSON.stringify([`a,${other}`]) }), [`a,${other}`]);
  });

  test('both variables may be set if the single secret is the first of the list', () => {
    const both = { SECURITY_JWT_SECRET: secret, SECURITY_JWT_SECRETS: `${secret},${other}` };
    assert.deepEqual(secretsOf(both), [secret, other]);
    assert.deepEqual(errorsOf({ ...both, SECURITY_JWT_SECRETS: `${other},${secret}` }), [
      'SECURITY_JWT_SECRET differs from the first secret of SECURITY_JWT_SECRETS, which signs tokens: remove it, or put it first in the list.',
    ]);
  });

  for (const environment of ['staging', 'production']) {
    test(`${environment} needs a secret`, () => {
      assert.deepEqual(errorsOf({ ...deployed, APP_ENVIRONMENT: environment }), [
        `SECURITY_JWT_SECRET is not set, and ${environment} does not start without it: set it to the output of \`openssl rand -hex 32\`.`,
      ]);
    });
  }

  for (const environment of ['local', 'test']) {
    test(`${environment} needs no secret`, () => {
      assert.deepEqual(errorsOf({ APP_ENVIRONMENT: environment }), []);
    });
  }

  test('a guessable secret is rejected in every environment, with its variable and without its value', () => {
    const how = 'set it to the output of `openssl rand -hex 32`';
    const short = 'Tr0ub4dor&3';
    for (const environment of ['local', 'test', 'staging', 'production']) {
      const env = { ...deployed, APP_ENVIRONMENT: environment };
      assert.deepEqual(errorsOf({ ...env, SECURITY_JWT_SECRET: short }), [
        `SECURITY_JWT_SECRET is shorter than the 32 bytes that HS256 needs: ${how}.`,
      ]);
      const [error = '', ...others] = errorsOf({ ...env, JWT_SECRET: 'changeme'.repeat(8) });
      assert.match(error, /^SECURITY_JWT_SECRET .*: set it to the output of/);
      assert.doesNotMatch(error, /changeme/);
      assert.deepEqual(others, []);
    }
    assert.deepEqual(errorsOf({ SECURITY_JWT_SECRETS: `${secret},${short},${other}` }), [
      `A secret in SECURITY_JWT_SECRETS is shorter than the 32 bytes that HS256 needs: ${how}.`,
    ]);
  });

  test('a secret must be as long as the hash of the algorithm', () => {
    const env = { SECURITY_JWT_SECRET: secret.slice(0, 47), SECURITY_JWT_ALGORITHM: 'HS384' };
    assert.match(errorsOf(env)[0] ?? '', /shorter than the 48 bytes that HS384 needs/);
    assert.deepEqual(errorsOf({ ...env, SECURITY_JWT_SECRET: secret.slice(0, 48) }), []);
  });

  test('a secret is never shown, neither by `npm run config` nor in an error', () => {
    const { origins } = load({ SECURITY_JWT_SECRETS: `${secret},${other}` });
    const shown = new Map(origins.map(({ name, value }) => [name, value]));
    assert.equal(shown.get('SECURITY_JWT_SECRETS'), '***');
    assert.equal(shown.get('SECURITY_JWT_SECRET'), '');
    for (const broken of [`[${secret}`, `["${secret}",1]`, `${secret}\u0001,${other}`, `["${secret}",""]`]) {
      const [error = ''] = errorsOf({ SECURITY_JWT_SECRETS: broken });
      assert.match(error, /^SECURITY_JWT_SECRETS has an invalid value in the environment \(not shown/);
      assert.ok(!error.includes(secret));
    }
  });
});

test('an algorithm without a key, or with another kind of key, is rejected with the reason', () => {
  for (const algorithm of ['none', 'RS256', 'ES256', 'EdDSA', 'HS1']) {
    const [error = ''] = errorsOf({ SECURITY_JWT_ALGORITHM: algorithm });
    assert.match(error, /must be one of HS256, HS384, HS512: this server supports only HMAC/, algorithm);
  }
  assert.equal(load({ SECURITY_JWT_ALGORITHM: 'hs512' }).settings.security.jwtAlgorithm, 'HS512');
});

describe('the header of API keys', () => {
  const reserved = [
    'Accept, Accept-Encoding, If-Match, Range, Expect, TE, Upgrade, Upgrade-Insecure-Requests, traceparent, tracestate, Via',
    'Authorization, Cookie, Host, Connection, Content-Type, Transfer-Encoding, Trailer, Max-Forwards, From, Cache-Control',
    'Pragma, Keep-Alive, Access-Control-Request-Method, Last-Event-ID, Priority, X-Forwarded-For, X-Real-IP, Baggage',
  ];
  for (const name of reserved.join(', ').split(', ')) {
    test(`the API key header cannot be ${name}, which has another meaning`, () => {
      const [error = ''] = errorsOf({ SECURITY_API_KEY_HEADER: name.toLowerCase() });
      assert.match(error, /this header has another meaning; choose a different name/);
    });
  }

  for (const name of ['X-API-Key', 'Api-Key', 'X-Program', 'X-Accept-Key', 'Team']) {
    test(`the API key header can be ${name}`, () =>
      assert.equal(load({ SECURITY_API_KEY_HEADER: name }).settings.security.apiKeyHeader, name));
  }
});

test('an idle timeout of sessions above their maximum lifetime is rejected', () => {
  const [error = '', ...others] = errorsOf({ SECURITY_SESSION_IDLE_DAYS: '91' });
  assert.match(error, /^SECURITY_SESSION_IDLE_DAYS is longer than SECURITY_SESSION_MAX_DAYS/);
  assert.deepEqual(others, []);
  assert.deepEqual(errorsOf({ SECURITY_SESSION_IDLE_DAYS: '90' }), []);
});

describe('mail', () => {
  const warningsOf = (env: Env) =>
    load({ ...deployed, APP_ENVIRONMENT: 'staging', SECURITY_JWT_SECRET: secret, ...env }).warnings;

  test('a missing mail server is a warning in staging', () => {
    const [warning = '', ...others] = warningsOf({});
    assert.match(warning, /^APP_SMTP_URL is not set, so no mail is sent, and password reset .* 503: /);
    assert.deepEqual(others, []);
    assert.deepEqual(load({}).warnings, []);
  });

  test('a sender at localhost is a warning', () => {
    const server = { APP_SMTP_URL: 'smtps://mail.example.com' };
    assert.match(warningsOf(server)[0] ?? '', /^APP_MAIL_FROM is an address at localhost/);
    assert.deepEqual(warningsOf({ ...server, APP_MAIL_FROM: 'no-reply@example.com' }), []);
  });

  test('the mail server is shown without its password', () => {
    const { origins, settings } = load({ APP_SMTP_URL: 'smtp://ada:hunter2@mail.example.com:587' });
    const shown = origins.find(({ name }) => name === 'APP_SMTP_URL')?.value;
    assert.equal(shown, 'smtp://ada:***@mail.example.com:587');
    assert.equal(settings.application.smtpUrl, 'smtp://ada:hunter2@mail.example.com:587');
  });
});
