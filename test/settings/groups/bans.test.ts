import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env, envFile: null });
const on = { SECURITY_ENABLE_BAN_LIST: 'true' };

describe('an error of the start', () => {
  const table: [env: Env, reason: RegExp][] = [
    [
      { ...on, APP_DISABLED_LAYERS: 'ban-list' },
      /needs the layer ban-list: remove ban-list from APP_DISABLED_LAYERS/,
    ],
    [
      { ...on, SECURITY_TRUST_PROXY_HEADERS: 'true', APP_DISABLED_LAYERS: 'proxy-headers' },
      /needs the layer proxy-headers: /,
    ],
    [
      { ...on, SECURITY_BAN_SECONDS: '100', SECURITY_BAN_MAX_SECONDS: '99' },
      /^SECURITY_BAN_SECONDS is longer than SECURITY_BAN_MAX_SECONDS: /,
    ],
    [{ SECURITY_BAN_ALLOWED_ADDRESSES: 'office.example' }, /"office\.example" is not an IP address\.$/],
  ];
  for (const [env, reason] of table) {
    it(`${JSON.stringify(env)} stops the start`, () => {
      assert.throws(
        () => load(env),
        (error) => error instanceof StartError && reason.test(error.message),
      );
    });
  }
});

describe('a warning of the start', () => {
  const deployed = {
    APP_ENVIRONMENT: 'production',
    APP_DATABASE_URL: 'none',
    APP_ALLOWED_HOSTS: 'example.com',
    SECURITY_JWT_SECRET: testSecret,
  };
  const table: [env: Env, reason: RegExp | undefined][] = [
    [{ ...deployed, ...on }, /behind a proxy with a public address, all clients have that address/],
    [{ ...deployed, ...on, SECURITY_TRUST_PROXY_HEADERS: 'true' }, undefined],
    [on, undefined],
    [
      { ...on, SECURITY_BAN_AUTH_FAILURES: '0', SECURITY_BAN_RATE_LIMIT_VIOLATIONS: '0' },
      /bans clients only by hand/,
    ],
    [
      { ...on, SECURITY_BAN_AUTH_FAILURES: '0', SECURITY_RATE_LIMIT_ENABLED: 'false' },
      /bans clients only by hand/,
    ],
    [{ ...on, SECURITY_RATE_LIMIT_ENABLED: 'false' }, undefined],
  ];
  for (const [env, reason] of table) {
    it(`${JSON.stringify(env).replace(testSecret, '...')} ${reason === undefined ? 'has none about bans' : 'has one'}`, () => {
      const about = load(env).warnings.filter((warning) => warning.includes('SECURITY_ENABLE_BAN_LIST'));
      assert.equal(about.length, reason === undefined ? 0 : 1);
      if (reason !== undefined) assert.match(about[0] ?? '', reason);
    });
  }
});
