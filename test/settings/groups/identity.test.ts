import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { type LoadedSettings, loadSettings } from '../../../src/settings/load.ts';

type Env = Record<string, string>;

const load = (env: Env): LoadedSettings => loadSettings({ env, envFile: null });

/** The faults that the environment is refused with, one a line. */
function faultsOf(env: Env): string[] {
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

  test('are the one secret, or the list, whichever is set', () => {
    assert.deepEqual(secretsOf({}), []);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRET: secret }), [secret]);
    assert.deepEqual(secretsOf({ JWT_SECRET: secret }), [secret]);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRETS: `${other}, ${secret}` }), [other, secret]);
    assert.deepEqual(secretsOf({ SECURITY_JWT_SECRETS: JSON.stringify([`a,${other}`]) }), [`a,${other}`]);
  });

  test('may be given in both ways when the one is first in the list', () => {
    const both = { SECURITY_JWT_SECRET: secret, SECURITY_JWT_SECRETS: `${secret},${other}` };
    assert.deepEqual(secretsOf(both), [secret, other]);
    assert.deepEqual(faultsOf({ ...both, SECURITY_JWT_SECRETS: `${other},${secret}` }), [
      'SECURITY_JWT_SECRET is not the first of SECURITY_JWT_SECRETS, which signs: remove it, or put it first in the list.',
    ]);
  });

  for (const environment of ['staging', 'production']) {
    test(`must be there in ${environment}`, () => {
      assert.deepEqual(faultsOf({ ...deployed, APP_ENVIRONMENT: environment }), [
        `SECURITY_JWT_SECRET is not set, and ${environment} does not start without: set it to the output of \`openssl rand -hex 32\`.`,
      ]);
    });
  }

  for (const environment of ['local', 'test']) {
    test(`may be missing in ${environment}`, () => {
      assert.deepEqual(faultsOf({ APP_ENVIRONMENT: environment }), []);
    });
  }

  test('that can be guessed are refused in every environment, each by its name and none by its value', () => {
    const how = 'set it to the output of `openssl rand -hex 32`';
    const short = 'Tr0ub4dor&3';
    for (const environment of ['local', 'test', 'staging', 'production']) {
      const env = { ...deployed, APP_ENVIRONMENT: environment };
      assert.deepEqual(faultsOf({ ...env, SECURITY_JWT_SECRET: short }), [
        `SECURITY_JWT_SECRET is shorter than the 32 bytes that HS256 needs: ${how}.`,
      ]);
      const [fault = '', ...others] = faultsOf({ ...env, JWT_SECRET: 'changeme'.repeat(8) });
      assert.match(fault, /^SECURITY_JWT_SECRET .*: set it to the output of/);
      assert.doesNotMatch(fault, /changeme/);
      assert.deepEqual(others, []);
    }
    assert.deepEqual(faultsOf({ SECURITY_JWT_SECRETS: `${secret},${short},${other}` }), [
      `A secret in SECURITY_JWT_SECRETS is shorter than the 32 bytes that HS256 needs: ${how}.`,
    ]);
  });

  test('must be as long as the hash of the algorithm', () => {
    const env = { SECURITY_JWT_SECRET: secret.slice(0, 47), SECURITY_JWT_ALGORITHM: 'HS384' };
    assert.match(faultsOf(env)[0] ?? '', /shorter than the 48 bytes that HS384 needs/);
    assert.deepEqual(faultsOf({ ...env, SECURITY_JWT_SECRET: secret.slice(0, 48) }), []);
  });

  test('are never shown, neither in the table nor in a fault', () => {
    const { origins } = load({ SECURITY_JWT_SECRETS: `${secret},${other}` });
    const shown = new Map(origins.map(({ name, value }) => [name, value]));
    assert.equal(shown.get('SECURITY_JWT_SECRETS'), '***');
    assert.equal(shown.get('SECURITY_JWT_SECRET'), '');
    for (const broken of [`[${secret}`, `["${secret}",1]`, `${secret}\u0001,${other}`, `["${secret}",""]`]) {
      const [fault = ''] = faultsOf({ SECURITY_JWT_SECRETS: broken });
      assert.match(fault, /^SECURITY_JWT_SECRETS got a value that is not shown/);
      assert.ok(!fault.includes(secret));
    }
  });
});

test('an algorithm with keys of another kind, or without one, is refused with the reason', () => {
  for (const algorithm of ['none', 'RS256', 'ES256', 'EdDSA', 'HS1']) {
    const [fault = ''] = faultsOf({ SECURITY_JWT_ALGORITHM: algorithm });
    assert.match(fault, /takes one of HS256, HS384, HS512: this server signs with HMAC/, algorithm);
  }
  assert.equal(load({ SECURITY_JWT_ALGORITHM: 'hs512' }).settings.security.jwtAlgorithm, 'HS512');
});

describe('the header of API keys', () => {
  const refused = [
    'Accept, Accept-Encoding, If-Match, Range, Expect, TE, Upgrade, Upgrade-Insecure-Requests, traceparent, tracestate, Via',
    'Authorization, Cookie, Host, Connection, Content-Type, Transfer-Encoding, Trailer, Max-Forwards, From, Cache-Control',
    'Pragma, Keep-Alive, Access-Control-Request-Method, Last-Event-ID, Priority, X-Forwarded-For, X-Real-IP, Baggage',
  ];
  for (const name of refused.join(', ').split(', ')) {
    test(`is not ${name}, which has a meaning of its own`, () => {
      const [fault = ''] = faultsOf({ SECURITY_API_KEY_HEADER: name.toLowerCase() });
      assert.match(fault, /has a meaning of its own, so choose another/);
    });
  }

  for (const name of ['X-API-Key', 'Api-Key', 'X-Program', 'X-Accept-Key', 'Team']) {
    test(`may be ${name}`, () =>
      assert.equal(load({ SECURITY_API_KEY_HEADER: name }).settings.security.apiKeyHeader, name));
  }
});

test('a session cannot be idle for longer than it lasts', () => {
  const [fault = '', ...others] = faultsOf({ SECURITY_SESSION_IDLE_DAYS: '91' });
  assert.match(fault, /^SECURITY_SESSION_IDLE_DAYS is longer than SECURITY_SESSION_MAX_DAYS/);
  assert.deepEqual(others, []);
  assert.deepEqual(faultsOf({ SECURITY_SESSION_IDLE_DAYS: '90' }), []);
});

describe('mail', () => {
  const cautions = (env: Env) =>
    load({ ...deployed, APP_ENVIRONMENT: 'staging', SECURITY_JWT_SECRET: secret, ...env }).warnings;

  test('that nobody can send is a warning in staging and production', () => {
    const [caution = '', ...others] = cautions({});
    assert.match(caution, /^APP_SMTP_URL is not set, so no mail is sent: password reset .* 503\.$/);
    assert.deepEqual(others, []);
    assert.deepEqual(load({}).warnings, []);
  });

  test('from an address that servers refuse is a warning', () => {
    const server = { APP_SMTP_URL: 'smtps://mail.example.com' };
    assert.match(cautions(server)[0] ?? '', /^APP_MAIL_FROM is at localhost/);
    assert.deepEqual(cautions({ ...server, APP_MAIL_FROM: 'no-reply@example.com' }), []);
  });

  test('has its server shown without the password', () => {
    const { origins, settings } = load({ APP_SMTP_URL: 'smtp://ada:hunter2@mail.example.com:587' });
    const shown = origins.find(({ name }) => name === 'APP_SMTP_URL')?.value;
    assert.equal(shown, 'smtp://ada:***@mail.example.com:587');
    assert.equal(settings.application.smtpUrl, 'smtp://ada:hunter2@mail.example.com:587');
  });
});
