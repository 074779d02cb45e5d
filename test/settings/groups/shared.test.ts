import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env, envFile: null });

const redis = { SECURITY_REDIS_ENABLED: 'true', SECURITY_REDIS_URL: 'redis://:hunter2@cache/1' };

const production = {
  APP_ENVIRONMENT: 'production',
  APP_ALLOWED_HOSTS: 'api.example.com',
  APP_DATABASE_URL: 'postgres://strata:secret@db/strata?sslmode=verify-full',
  APP_SMTP_URL: 'smtp://strata:secret@mail.example.com:587',
  APP_MAIL_FROM: 'Strata <no-reply@example.com>',
  SECURITY_JWT_SECRET: testSecret,
};

describe('the settings of state that nodes share', () => {
  for (const [env, store] of [
    [{}, 'memory'],
    [redis, 'redis'],
    [{ ...redis, SECURITY_RATE_LIMIT_STORE: 'auto' }, 'redis'],
    [{ ...redis, SECURITY_RATE_LIMIT_STORE: 'memory' }, 'memory'],
    [{ ...redis, SECURITY_RATE_LIMIT_STORE: 'postgres' }, 'postgres'],
    [{ SECURITY_RATE_LIMIT_STORE: 'POSTGRES' }, 'postgres'],
  ] as const) {
    it(`the store of the rate limit is ${store} with ${JSON.stringify(env)}`, () => {
      assert.equal(load(env).settings.security.rateLimitStore, store);
    });
  }

  for (const [env, reason] of [
    [{ SECURITY_REDIS_ENABLED: 'true' }, /^SECURITY_REDIS_ENABLED=true needs SECURITY_REDIS_URL: /],
    [
      { SECURITY_RATE_LIMIT_STORE: 'redis' },
      /^SECURITY_RATE_LIMIT_STORE=redis needs SECURITY_REDIS_ENABLED=true: /,
    ],
    [
      { SECURITY_RATE_LIMIT_STORE: 'redis', SECURITY_REDIS_URL: redis.SECURITY_REDIS_URL },
      /^SECURITY_RATE_LIMIT_STORE=redis needs SECURITY_REDIS_ENABLED=true: /,
    ],
    [
      { SECURITY_RATE_LIMIT_STORE: 'postgres', APP_DATABASE_URL: 'none' },
      /^SECURITY_RATE_LIMIT_STORE=postgres needs a database/,
    ],
    [{ SECURITY_RATE_LIMIT_STORE: 'memcached' }, /^SECURITY_RATE_LIMIT_STORE is "memcached"/],
    [
      { ...redis, SECURITY_REDIS_URL: 'redis://:hunter2@cache/x' },
      /^SECURITY_REDIS_URL has an invalid value/,
    ],
    [{ ...redis, SECURITY_REDIS_URL: 'http://:hunter2@cache' }, /^SECURITY_REDIS_URL has an invalid value/],
    [{ REDIS_URL: 'http://:hunter2@cache' }, /^REDIS_URL \(an alias of SECURITY_REDIS_URL\)/],
    [{ SECURITY_REDIS_KEY_PREFIX: 'a{b}' }, /^SECURITY_REDIS_KEY_PREFIX is "a\{b\}"/],
    [{ SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS: '0' }, /^SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS is "0"/],
  ] as const) {
    it(`the settings ${JSON.stringify(env).replaceAll('hunter2', '***')} stop the start with one sentence`, () => {
      assert.throws(
        () => load(env),
        (error) => {
          assert.ok(error instanceof StartError);
          assert.match(error.message, reason);
          assert.equal(error.message.includes('\n'), false);
          assert.equal(error.message.includes('hunter2'), false);
          return true;
        },
      );
    });
  }

  for (const [env, advice] of [
    [{ SECURITY_REDIS_URL: redis.SECURITY_REDIS_URL }, /^SECURITY_REDIS_URL is not used, /],
    [
      { ...redis, SECURITY_RATE_LIMIT_ENABLED: 'false', SECURITY_RATE_LIMIT_STORE: 'redis' },
      /^SECURITY_RATE_LIMIT_STORE has no effect /,
    ],
    [{ ...production, ...redis }, /^SECURITY_REDIS_URL does not use TLS, /],
  ] as const) {
    it(`the settings ${Object.keys(env).join(', ')} are allowed with the advice ${advice.source}`, () => {
      const { warnings } = load(env);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? '', advice);
    });
  }

  it('a Redis with TLS or on the same machine causes no warning in production', () => {
    for (const url of [
      'rediss://:hunter2@cache',
      'redis://:hunter2@127.0.0.1',
      'redis+cluster://localhost,[::1]',
    ]) {
      assert.deepEqual(load({ ...production, ...redis, SECURITY_REDIS_URL: url }).warnings, []);
    }
  });

  it('the listed URL has no password', () => {
    const listed = load(redis).origins.find(({ name }) => name === 'SECURITY_REDIS_URL');
    assert.deepEqual([listed?.value.includes('hunter2'), listed?.value.includes('cache')], [false, true]);
  });
});
