import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env, envFile: null });
const on = { SECURITY_ENABLE_GEO_BLOCKING: 'true', SECURITY_GEOIP_DATABASE_PATH: 'countries.mmdb' };

it('the lists of countries are read in any case, and the path is absolute', () => {
  const { security } = load({
    ...on,
    SECURITY_ALLOWED_COUNTRIES: '["de","FR"]',
    SECURITY_BLOCKED_COUNTRIES: 'us',
  }).settings;
  assert.deepEqual(security.allowedCountries, ['DE', 'FR']);
  assert.deepEqual(security.blockedCountries, ['US']);
  assert.equal(security.geoipDatabasePath, resolve('countries.mmdb'));
});

describe('unknown countries', () => {
  for (const [env, allows] of [
    [{}, true],
    [{ SECURITY_BLOCKED_COUNTRIES: 'US' }, true],
    [{ SECURITY_ALLOWED_COUNTRIES: 'DE' }, false],
    [{ SECURITY_ALLOWED_COUNTRIES: 'DE', SECURITY_UNKNOWN_COUNTRIES: 'allow' }, true],
    [{ SECURITY_UNKNOWN_COUNTRIES: 'block' }, false],
  ] as const) {
    it(`unknown countries are ${allows ? 'allowed' : 'blocked'} with ${JSON.stringify(env)}`, () => {
      assert.equal(load({ ...on, ...env }).settings.security.allowsUnknownCountries, allows);
    });
  }
});

describe('an error of the start', () => {
  const table: [env: Env, reason: RegExp][] = [
    [
      { SECURITY_ENABLE_GEO_BLOCKING: 'true' },
      /^SECURITY_ENABLE_GEO_BLOCKING=true needs SECURITY_GEOIP_DATABASE_PATH: /,
    ],
    [
      { ...on, SECURITY_BLOCKED_COUNTRIES: 'XX' },
      /^SECURITY_BLOCKED_COUNTRIES is "XX" .*"XX" is not a country code\.$/,
    ],
    [{ SECURITY_ALLOWED_COUNTRIES: 'DE,uk' }, /"uk" is not a country code; write GB\.$/],
    [
      { ...on, SECURITY_UNKNOWN_COUNTRIES: 'maybe' },
      /^SECURITY_UNKNOWN_COUNTRIES is "maybe" .*must be one of auto, allow, block\.$/,
    ],
    [
      { ...on, SECURITY_ALLOWED_COUNTRIES: 'DE,FR', SECURITY_BLOCKED_COUNTRIES: 'FR,DE,US' },
      /^SECURITY_BLOCKED_COUNTRIES contains every country of SECURITY_ALLOWED_COUNTRIES, /,
    ],
    [
      { ...on, APP_DISABLED_LAYERS: 'geo-block' },
      /needs the layer geo-block: remove geo-block from APP_DISABLED_LAYERS/,
    ],
    [
      { ...on, SECURITY_TRUST_PROXY_HEADERS: 'true', APP_DISABLED_LAYERS: 'proxy-headers' },
      /needs the layer proxy-headers: remove proxy-headers from APP_DISABLED_LAYERS/,
    ],
  ];
  for (const [env, reason] of table) {
    it(`${JSON.stringify(env)} is an error of the start`, () => {
      assert.throws(
        () => load(env),
        (error) => error instanceof StartError && reason.test(error.message),
      );
    });
  }
});

describe('a warning', () => {
  const table: [env: Env, reason: RegExp][] = [
    [on, /^SECURITY_ENABLE_GEO_BLOCKING=true rejects no request, /],
    [{ SECURITY_BLOCKED_COUNTRIES: 'US' }, /have no effect with SECURITY_ENABLE_GEO_BLOCKING=false/],
    [
      { ...on, SECURITY_ALLOWED_COUNTRIES: 'DE,FR', SECURITY_BLOCKED_COUNTRIES: 'FR' },
      /both contain FR, which is blocked/,
    ],
  ];
  for (const [env, reason] of table) {
    it(`${JSON.stringify(env)} starts with a warning`, () => {
      assert.match(load(env).warnings.join('\n'), reason);
    });
  }

  it('a list without a contradiction starts without a warning', () => {
    assert.deepEqual(load({ ...on, SECURITY_BLOCKED_COUNTRIES: 'US' }).warnings, []);
  });
});
