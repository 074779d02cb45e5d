import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { type LoadedSettings, loadSettings } from '../../src/settings/load.ts';
import { testSecret } from '../helpers/test-secret.ts';

type Env = Record<string, string | undefined>;

const load = (env: Env = {}, overrides: Record<string, string> = {}): LoadedSettings =>
  loadSettings({ env, envFile: null, overrides });

/** The errors that stop a start with this environment, one per line. */
function errorsOf(env: Env, overrides: Record<string, string> = {}): string[] {
  try {
    load(env, overrides);
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return error.message.split('\n');
  }
  return [];
}

const originOf = (loaded: LoadedSettings, name: string) =>
  loaded.origins.find((origin) => origin.name === name);

/** The minimal settings of production. */
const production = {
  APP_ENVIRONMENT: 'production',
  APP_ALLOWED_HOSTS: 'api.example.com',
  APP_DATABASE_URL: 'postgres://strata:secret@db/strata?sslmode=verify-full',
  APP_SMTP_URL: 'smtp://strata:secret@mail.example.com:587',
  APP_MAIL_FROM: 'Strata <no-reply@example.com>',
  SECURITY_JWT_SECRET: testSecret,
};

describe('an empty environment', () => {
  test('an empty environment gives the documented defaults without a warning', () => {
    const { settings, origins, warnings } = load();
    assert.deepEqual(warnings, []);
    assert.ok(origins.every(({ origin }) => origin === 'default'));
    assert.equal(settings.application.environment, 'local');
    assert.match(settings.application.projectVersion, /^\d+\.\d+\.\d+/);
    assert.equal(settings.application.apiPrefix, '/api/v1');
    assert.equal(settings.application.databaseUrl, 'embedded');
    assert.equal(settings.application.dataDir, resolve('.data'));
    assert.deepEqual(settings.application.corsAllowOrigins, []);
    assert.deepEqual(settings.application.allowedHosts, ['*']);
    assert.deepEqual(
      { ...settings.server },
      {
        host: '127.0.0.1',
        port: 8000,
        workers: 1,
        headersTimeoutSeconds: 10,
        requestTimeoutSeconds: 30,
        bodyTimeoutSeconds: 20,
        sendTimeoutSeconds: 10,
        keepAliveSeconds: 5,
        maxHeaderBytes: 16384,
        maxHeaderCount: 100,
        maxConnections: 10000,
        maxConnectionsPerAddress: 'auto',
        shutdownGraceSeconds: 30,
        workerStartTimeoutSeconds: 30,
        workerTimeoutSeconds: 30,
        workerMaxRequests: 0,
        workerMaxRequestsJitter: 0,
        workerMaxMemoryMb: 0,
        reloadCanarySeconds: 2,
        managementPort: 'auto',
        management: { port: 9181, mayMove: true },
        managementHost: '127.0.0.1',
        managementAllowedHosts: [],
        managementToken: '',
      },
    );
    assert.deepEqual(
      { ...settings.security },
      {
        enableAlerting: false,
        alertWindowSeconds: 300,
        alertRateLimitThreshold: 100,
        alertAuthFailureThreshold: 50,
        alertErrorRatePercent: 5,
        alertCircuitOpenSeconds: 60,
        alertWorkerCrashThreshold: 3,
        alertFailedJobThreshold: 1,
        alertDatabaseAwaySeconds: 30,
        alertWebhookUrl: '',
        alertWebhookSecret: '',
        alertWebhookAllowHttp: false,
        alertRunbookUrl: 'docs/runbooks.md',
        allowedCountries: [],
        allowsUnknownCountries: true,
        blockedCountries: [],
        banAllowedAddresses: [],
        banAuthFailures: 30,
        banForgetSeconds: 604800,
        banGrowthFactor: 2,
        banMaxSeconds: 86400,
        banSeconds: 600,
        banRateLimitViolations: 300,
        banWindowSeconds: 600,
        enableBanList: false,
        enableGeoBlocking: false,
        geoipDatabasePath: '',
        unknownCountries: 'auto',
        rateLimitEnabled: true,
        rateLimitPerMinute: 60,
        rateLimitPerHour: 1000,
        rateLimitBurst: 10,
        rateLimitMaxClients: 100000,
        rateLimitOnFailure: 'open',
        maxUploadSize: 52428800,
        maxRequestSize: 1048576,
        blockNullBytes: true,
        enableHsts: false,
        hstsPreload: false,
        enforceHttps: false,
        enableCsp: false,
        circuitBreakerThreshold: 5,
        circuitBreakerTimeout: 60,
        enableCircuitBreaker: false,
        enableDdosProtection: false,
        overloadMaxRequests: 1000,
        overloadTurnMs: 20,
        cspPolicy: "default-src 'self'",
        trustedProxies: ['127.0.0.1', '::1'],
        trustProxyHeaders: false,
        serverHeader: '',
        enablePrometheus: false,
        jwtSecrets: [],
        jwtAlgorithm: 'HS256',
        jwtExpiryMinutes: 60,
        jwtIssuer: 'strata',
        jwtAudience: 'strata',
        apiKeyHeader: 'X-API-Key',
        sessionIdleDays: 14,
        sessionMaxDays: 90,
        sessionRecheckSeconds: 15,
        rateLimitRegistrationsPerHour: 20,
        rateLimitStore: 'memory',
        rateLimitStoreTimeoutMs: 25,
        rateLimitUserPerMinute: 120,
        redisEnabled: false,
        redisKeyPrefix: 'strata:',
        redisUrl: '',
      },
    );
  });

  test('all settings are frozen', () => {
    const { settings } = load();
    for (const frozen of [
      settings,
      settings.application,
      settings.server,
      settings.security,
      settings.application.allowedHosts,
      settings.security.jwtSecrets,
    ]) {
      assert.ok(Object.isFrozen(frozen));
    }
  });
});

describe('precedence of the sources', () => {
  test('a flag wins over the environment', () => {
    const loaded = load({ APP_PORT: '9000' }, { APP_PORT: '9001' });
    assert.equal(loaded.settings.server.port, 9001);
    assert.equal(originOf(loaded, 'APP_PORT')?.origin, 'flag');
  });

  test('a flag wins over an alias in the environment', () => {
    assert.equal(load({ PORT: '9000' }, { APP_PORT: '9001' }).settings.server.port, 9001);
  });

  for (const empty of ['', '   ', undefined]) {
    test(`a variable set to ${JSON.stringify(empty)} counts as not set`, () => {
      const loaded = load({ APP_PORT: empty });
      assert.equal(loaded.settings.server.port, 8000);
      assert.equal(originOf(loaded, 'APP_PORT')?.origin, 'default');
    });
  }

  test('spaces around a value are ignored', () => {
    assert.equal(load({ APP_PORT: ' 9000\n' }).settings.server.port, 9000);
  });
});

describe('aliases', () => {
  const cases = [
    ['ENVIRONMENT', 'APP_ENVIRONMENT', 'test'],
    ['DATABASE_URL', 'APP_DATABASE_URL', 'none'],
    ['DATABASE_POOL_SIZE', 'APP_DATABASE_POOL_SIZE', '7'],
    ['DATABASE_ECHO', 'APP_DATABASE_ECHO', 'true'],
    ['PORT', 'APP_PORT', '9000'],
    ['APP_WORKER_TIMEOUT', 'APP_WORKER_TIMEOUT_SECONDS', '60'],
  ] as const;
  for (const [alias, name, value] of cases) {
    test(`${alias} sets ${name}, and the origin names the alias`, () => {
      assert.deepEqual(originOf(load({ [alias]: value }), name), {
        name,
        value,
        origin: 'environment',
        alias,
      });
    });
  }

  test('an alias with the prefix APP_ is not reported as unknown', () => {
    assert.deepEqual(load({ APP_WORKER_TIMEOUT: '60' }).warnings, []);
  });

  test('a variable and its alias with the same value are accepted', () => {
    const loaded = load({ PORT: '9000', APP_PORT: '9000' });
    assert.deepEqual(originOf(loaded, 'APP_PORT'), {
      name: 'APP_PORT',
      value: '9000',
      origin: 'environment',
    });
  });

  test('a variable and its alias with different values are rejected with both names and neither value', () => {
    const [error = '', ...others] = errorsOf({
      DATABASE_URL: 'postgres://u:secret1@a/d',
      APP_DATABASE_URL: 'postgres://u:secret2@b/d',
    });
    assert.deepEqual(others, []);
    assert.match(
      error,
      /^APP_DATABASE_URL and DATABASE_URL are both set in the environment, with different values/,
    );
    assert.doesNotMatch(error, /secret/);
  });

  test('HOST and VERSION, which shells set, are not read', () => {
    const { settings } = load({ HOST: '0.0.0.0', VERSION: '9' });
    assert.equal(settings.server.host, '127.0.0.1');
    assert.notEqual(settings.application.projectVersion, '9');
  });
});

describe('errors', () => {
  test('all errors are reported at once, one per line, each with the variable, its value and the valid values', () => {
    assert.deepEqual(errorsOf({ APP_PORT: '80a', APP_DEBUG: 'maybe', SECURITY_RATE_LIMIT_PER_HOUR: '0' }), [
      'APP_DEBUG is "maybe" in the environment, but must be true or false.',
      'APP_PORT is "80a" in the environment, but must be an integer from 0 to 65535.',
      'SECURITY_RATE_LIMIT_PER_HOUR is "0" in the environment, but must be an integer from 1 to 1000000 (requests).',
    ]);
  });

  test('an error stays on one line when the value contains line breaks', () => {
    assert.equal(errorsOf({ APP_PORT: '1\n2\u0000\u001b[31m' }).length, 1);
  });

  test('an error of a flag names the command line as the origin', () => {
    assert.match(errorsOf({}, { APP_PORT: 'x' })[0] ?? '', /^APP_PORT is "x" on the command line,/);
  });

  test('an error names the alias that was set', () => {
    assert.match(errorsOf({ PORT: 'x' })[0] ?? '', /^PORT \(an alias of APP_PORT\) is "x"/);
  });

  test('an invalid variable is not reported again by checks that would read it', () => {
    const errors = errorsOf({ ...production, APP_ALLOWED_HOSTS: 'a b' });
    assert.equal(errors.length, 1);
    assert.match(errors[0] ?? '', /^APP_ALLOWED_HOSTS is "a b"/);
  });

  test('errors of variables are reported together with invalid combinations', () => {
    assert.equal(errorsOf({ ...production, APP_DEBUG: 'true', APP_PORT: 'x' }).length, 2);
  });

  for (const [name, value] of [
    ['APP_DATABASE_URL', 'postgres://strata:hunter2@host:port/db'],
    ['APP_DATABASE_URL', 'postgres//strata:hunter2@host/db'],
    ['APP_DATABASE_URL', 'postgres://strata:hunter2#x@host/db'],
    ['APP_DATABASE_URL', 'postgres://strata:5/hunter2@host/db'],
    ['APP_DATABASE_URL', 'postgres://strata:5?hunter2@host/db'],
    ['APP_DATABASE_URL', 'mysql://root:hunter2@host/db'],
    ['DATABASE_URL', 'hunter2'],
    ['APP_CORS_ALLOW_ORIGINS', 'https://ada:hunter2@app.example.com'],
    ['APP_CORS_ALLOW_ORIGINS', '["https://ada:hunter2@app.example.com/"]'],
    ['APP_ALLOWED_HOSTS', 'postgres://ada:hunter2@db.example.com'],
    ['APP_PORT', `postgres://ada:${'hunter2'.repeat(30)}@db.example.com`],
  ] as const) {
    test(`no error shows the password in ${name}=${value.slice(0, 50)}`, () => {
      const message = errorsOf({ [name]: value }).join('\n');
      assert.notEqual(message, '');
      assert.doesNotMatch(message, /hunter2/);
    });
  }
});

describe('production', () => {
  test('production starts with listed hosts, a database, a mail server and a secret', () => {
    const { settings, warnings } = load(production);
    assert.equal(settings.application.isProduction, true);
    assert.deepEqual(warnings, []);
  });

  for (const [name, change, expected] of [
    ['debug mode', { APP_DEBUG: 'true' }, /^APP_DEBUG=true is not allowed in production/],
    [
      'the host *',
      { APP_ALLOWED_HOSTS: undefined },
      /^APP_ALLOWED_HOSTS with \* is not allowed in production/,
    ],
    ['the default database', { APP_DATABASE_URL: undefined }, /^APP_DATABASE_URL is not set/],
  ] as const) {
    test(`production rejects ${name}`, () => {
      const errors = errorsOf({ ...production, ...change });
      assert.equal(errors.length, 1);
      assert.match(errors[0] ?? '', expected);
    });
  }

  for (const [what, url, isWarned] of [
    ['no sslmode', 'postgres://db/strata', true],
    ['sslmode=prefer', 'postgres://db/strata?sslmode=prefer', true],
    ['sslmode=require', 'postgres://db/strata?sslmode=require', false],
    ['sslmode=verify-full', 'postgres://db/strata?sslmode=verify-full', false],
    ['sslmode=disable', 'postgres://db/strata?sslmode=disable', false],
    ['no sslmode to the loopback', 'postgres://127.0.0.1/strata', false],
    ['no sslmode to a Unix socket', 'postgres:///strata?host=/run/postgresql', false],
  ] as const) {
    test(`a database URL with ${what} is ${isWarned ? 'a warning' : 'accepted'} in production`, () => {
      const { warnings } = load({ ...production, APP_DATABASE_URL: url });
      assert.equal(
        warnings.filter((each) => /^APP_DATABASE_URL does not require TLS/.test(each)).length,
        isWarned ? 1 : 0,
      );
      assert.deepEqual(load({ APP_DATABASE_URL: url }).warnings, [], 'locally');
    });
  }

  test('APP_TASKS_BROKER_URL without TLS is a warning in production', () => {
    const { warnings } = load({ ...production, APP_TASKS_BROKER_URL: 'postgres://direct/strata' });
    assert.match(warnings[0] ?? '', /^APP_TASKS_BROKER_URL does not require TLS/);
  });

  const protections = [
    'request-log',
    'deadline',
    'proxy-headers',
    'security-headers',
    'trusted-host',
    'https-policy',
    'rate-limit',
    'caller-limit',
    'content-validation',
    'idempotency',
  ];
  for (const layer of protections) {
    test(`a disabled layer ${layer} is a warning in staging and production`, () => {
      for (const environment of ['staging', 'production']) {
        const { warnings } = load({
          ...production,
          APP_ENVIRONMENT: environment,
          APP_DISABLED_LAYERS: layer,
        });
        assert.equal(warnings.length, 1, environment);
        assert.match(
          warnings[0] ?? '',
          new RegExp(`^APP_DISABLED_LAYERS turns off ${layer} in ${environment}, so `),
        );
      }
      assert.deepEqual(load({ APP_DISABLED_LAYERS: layer }).warnings, []);
    });
  }

  test('disabled layers that protect nothing are no warning', () => {
    const { warnings } = load({
      ...production,
      APP_DISABLED_LAYERS: 'metrics,request-id,cors,compression,etag',
    });
    assert.deepEqual(warnings, []);
  });

  for (const name of ['RATE_LIMIT_ENABLED', 'ENFORCE_HTTPS', 'ENABLE_HSTS', 'BLOCK_NULL_BYTES']) {
    test(`SECURITY_${name}=false is a warning in production`, () => {
      const { warnings } = load({ ...production, [`SECURITY_${name}`]: 'false' });
      assert.deepEqual(
        warnings.map((each) => each.slice(0, each.indexOf(' '))),
        [`SECURITY_${name}=false`],
      );
    });
  }

  test('production starts the embedded database if APP_DATABASE_URL is embedded', () => {
    const { settings } = load({ ...production, APP_DATABASE_URL: 'embedded' });
    assert.equal(settings.application.databaseKind, 'embedded');
    assert.equal(settings.application.migrateAtStart, true);
  });
});

describe('combinations', () => {
  test('the origin * with credentials is rejected in every environment', () => {
    assert.match(
      errorsOf({ APP_CORS_ALLOW_ORIGINS: '*' })[0] ?? '',
      /^APP_CORS_ALLOW_ORIGINS with \* is not allowed/,
    );
  });

  test('the origin * without credentials is accepted', () => {
    const { settings } = load({ APP_CORS_ALLOW_ORIGINS: '*', APP_CORS_ALLOW_CREDENTIALS: 'false' });
    assert.deepEqual(settings.application.corsAllowOrigins, ['*']);
  });

  test('circuits of routes that are enabled while their layer is disabled stop the start', () => {
    const env = {
      SECURITY_ENABLE_CIRCUIT_BREAKER: 'true',
      APP_DISABLED_LAYERS: 'circuit-breaker',
    };
    assert.throws(() => load(env), /needs the layer circuit-breaker/);
  });

  test('load shedding that is enabled while its layer is disabled stops the start', () => {
    const env = { SECURITY_ENABLE_DDOS_PROTECTION: 'true', APP_DISABLED_LAYERS: 'load-shedding' };
    assert.throws(() => load(env), /needs the layer load-shedding/);
  });

  const proxied = { SECURITY_TRUST_PROXY_HEADERS: 'true' };
  for (const [name, key] of [
    ['SECURITY_ENABLE_HSTS', 'enableHsts'],
    ['SECURITY_ENFORCE_HTTPS', 'enforceHttps'],
  ] as const) {
    for (const [base, environment] of [
      [{}, 'local'],
      [production, 'production'],
    ] as const) {
      test(`${name}=true works behind a trusted proxy in ${environment}, and is rejected without one`, () => {
        assert.equal(load({ ...base, ...proxied, [name]: 'true' }).settings.security[key], true);
        const [error = '', ...others] = errorsOf({ ...base, [name]: 'true' });
        assert.deepEqual(others, []);
        assert.match(
          error,
          new RegExp(`^${name}=true has no effect with SECURITY_TRUST_PROXY_HEADERS=false`),
        );
      });

      test(`an unset ${name} is ${environment === 'production' ? 'on' : 'off'} behind a trusted proxy in ${environment}`, () => {
        assert.equal(load({ ...base, ...proxied }).settings.security[key], environment === 'production');
        assert.equal(load(base).settings.security[key], false);
        assert.equal(load({ ...base, ...proxied, [name]: 'false' }).settings.security[key], false);
      });
    }

    test(`${name}=true is rejected if one of its layers is disabled`, () => {
      const layer = key === 'enableHsts' ? 'security-headers' : 'https-policy';
      for (const disabled of [layer, 'proxy-headers', `cors,${layer}`]) {
        const [error = ''] = errorsOf({ ...proxied, [name]: 'true', APP_DISABLED_LAYERS: disabled });
        assert.match(error, new RegExp(`^${name}=true needs the layer`));
      }
      assert.deepEqual(errorsOf({ ...proxied, [name]: 'true', APP_DISABLED_LAYERS: 'cors' }), []);
    });
  }

  test('a limit per minute that exceeds the maximum with its burst is rejected', () => {
    const env = { SECURITY_RATE_LIMIT_PER_MINUTE: '999991', SECURITY_RATE_LIMIT_PER_HOUR: '1000000' };
    assert.match(errorsOf(env)[0] ?? '', /lower one of them\.$/);
    assert.deepEqual(errorsOf({ ...env, SECURITY_RATE_LIMIT_BURST: '9' }), []);
  });

  for (const [name, env, expected] of [
    [
      'a limit per hour below the limit per minute',
      { SECURITY_RATE_LIMIT_PER_HOUR: '59' },
      /SECURITY_RATE_LIMIT_PER_HOUR/,
    ],
    [
      'trusting the forwarded headers of every IPv4 address',
      { SECURITY_TRUST_PROXY_HEADERS: 'true', SECURITY_TRUSTED_PROXIES: '10.0.0.1,0.0.0.0/0' },
      /SECURITY_TRUSTED_PROXIES/,
    ],
    [
      'trusting the forwarded headers of every IPv6 address',
      { SECURITY_TRUST_PROXY_HEADERS: 'true', SECURITY_TRUSTED_PROXIES: '::/0' },
      /SECURITY_TRUSTED_PROXIES/,
    ],
    [
      'preload without HSTS',
      { SECURITY_HSTS_PRELOAD: '1', SECURITY_ENABLE_HSTS: '0' },
      /SECURITY_HSTS_PRELOAD/,
    ],
    [
      'preload in an environment without HSTS',
      { SECURITY_HSTS_PRELOAD: '1', SECURITY_TRUST_PROXY_HEADERS: 'true' },
      /SECURITY_HSTS_PRELOAD/,
    ],
    [
      'a body deadline longer than that of the request',
      { APP_BODY_TIMEOUT_SECONDS: '31' },
      /APP_BODY_TIMEOUT_SECONDS/,
    ],
    [
      'a keep-alive time longer than the grace time',
      { APP_KEEP_ALIVE_SECONDS: '31' },
      /APP_KEEP_ALIVE_SECONDS is longer than APP_SHUTDOWN_GRACE_SECONDS/,
    ],
    [
      'migrations without a database',
      { APP_DATABASE_URL: 'none', APP_DATABASE_MIGRATE: 'true' },
      /APP_DATABASE_MIGRATE/,
    ],
  ] as const) {
    test(`${name} is a warning, not an error`, () => {
      const { warnings } = load(env);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? '', expected);
    });
  }

  test('trusting every address is no warning while forwarded headers are ignored', () => {
    assert.deepEqual(load({ SECURITY_TRUSTED_PROXIES: '::/0' }).warnings, []);
  });
});

describe('computed settings', () => {
  for (const [environment, served] of [
    ['local', true],
    ['test', false],
    ['staging', true],
    ['production', false],
  ] as const) {
    test(`the docs pages are ${served ? '' : 'not '}served in ${environment}`, () => {
      const { application } = load({ ...production, APP_ENVIRONMENT: environment }).settings;
      assert.equal(application.docsUrl, served ? '/docs' : null);
      assert.equal(application.redocUrl, served ? '/redoc' : null);
      assert.equal(application.openapiUrl, served ? '/openapi.json' : null);
    });
  }

  for (const [environment, url, migrate, expected] of [
    ['local', 'postgres://db/d', 'auto', true],
    ['test', 'postgres://db/d', 'auto', true],
    ['staging', 'postgres://db/d', 'auto', false],
    ['production', 'postgres://db/d', 'auto', false],
    ['staging', 'embedded', 'auto', true],
    ['production', 'postgres://db/d', 'true', true],
    ['local', 'embedded', 'false', false],
    ['local', 'none', 'true', false],
  ] as const) {
    test(`${environment} with ${url} and APP_DATABASE_MIGRATE=${migrate} ${expected ? 'migrates' : 'does not migrate'} at start`, () => {
      const env = {
        ...production,
        APP_ENVIRONMENT: environment,
        APP_DATABASE_URL: url,
        APP_DATABASE_MIGRATE: migrate,
      };
      assert.equal(load(env).settings.application.migrateAtStart, expected);
    });
  }

  test('APP_WORKERS=auto means one worker per processor', () => {
    assert.equal(load({ APP_WORKERS: 'auto' }).settings.server.workers, availableParallelism());
  });
});

describe('unknown variables', () => {
  for (const [name, expected] of [
    ['APP_PROT', 'APP_PROT, set in the environment, is ignored: did you mean APP_PORT.'],
    ['app_port', 'app_port, set in the environment, is ignored: did you mean APP_PORT.'],
    [
      'APP_RATE_LIMIT_PER_MINUTE',
      'APP_RATE_LIMIT_PER_MINUTE, set in the environment, is ignored: did you mean SECURITY_RATE_LIMIT_PER_MINUTE.',
    ],
    [
      'APP_NO_SUCH_THING',
      'APP_NO_SUCH_THING, set in the environment, is ignored: this version has no such setting.',
    ],
  ] as const) {
    test(`the unknown variable ${name} is a warning without its value`, () => {
      assert.deepEqual(load({ [name]: 'hunter2' }).warnings, [expected]);
    });
  }

  test('an unknown variable that is empty, or without our prefix, is no warning', () => {
    assert.deepEqual(load({ APP_PROT: '', PATH: '/bin', NODE_APP_PROT: '1' }).warnings, []);
  });

  for (const name of ['SECURITY_GEO_BLOCKED_COUNTRIES', 'SECURITY_NO_SUCH_THING']) {
    test(`${name}, which this version does not have, stops the start with a sentence without its value`, () => {
      assert.deepEqual(errorsOf({ [name]: 'hunter2' }), [
        `${name}, set in the environment, is not a setting and protects nothing: this version has no such setting; remove it, or set it to false.`,
      ]);
    });
  }

  for (const [name, meant] of [
    ['SECURITY_ENABLE_HST', 'SECURITY_ENABLE_HSTS'],
    ['SECURITY_TRUSTED_PROXYS', 'SECURITY_TRUSTED_PROXIES'],
    ['SECURITY_ALLOWED_HOSTS', 'APP_ALLOWED_HOSTS'],
    ['security_redis_enabled', 'SECURITY_REDIS_ENABLED'],
    ['SECURITY_RATE_LIMIT_ENABLE', 'SECURITY_RATE_LIMIT_ENABLED'],
  ] as const) {
    test(`the misspelt ${name} stops the start with the nearest name`, () => {
      assert.deepEqual(errorsOf({ [name]: 'true' }), [
        `${name}, set in the environment, is not a setting and protects nothing: did you mean ${meant}.`,
      ]);
    });
  }

  for (const off of ['false', 'FALSE', '0', 'off', 'no', '', ' ']) {
    test(`an unknown protection that is ${JSON.stringify(off)} stops nothing`, () => {
      assert.deepEqual(load({ SECURITY_GEO_BLOCKED_COUNTRIES: off }).warnings, []);
    });
  }
});

describe('origins', () => {
  test('the origin of the database URL masks its password and nothing else', () => {
    const loaded = load({ APP_DATABASE_URL: 'postgres://strata:hunter2@db:5433/app?sslmode=require' });
    assert.equal(
      originOf(loaded, 'APP_DATABASE_URL')?.value,
      'postgres://strata:***@db:5433/app?sslmode=require',
    );
    assert.equal(
      loaded.settings.application.databaseUrl,
      'postgres://strata:hunter2@db:5433/app?sslmode=require',
    );
  });

  test('origins show the value in effect, not the original text', () => {
    const { origins } = load({ APP_LOG_LEVEL: 'warn', APP_ALLOWED_HOSTS: 'A.example, b.example' });
    assert.equal(origins.find(({ name }) => name === 'APP_LOG_LEVEL')?.value, 'WARNING');
    assert.equal(
      origins.find(({ name }) => name === 'APP_ALLOWED_HOSTS')?.value,
      '["a.example","b.example"]',
    );
  });
});
