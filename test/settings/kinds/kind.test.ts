import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StartError } from '../../../src/errors.ts';
import { printValue } from '../../../src/settings/kinds/kind.ts';
import { type LoadedSettings, loadSettings } from '../../../src/settings/load.ts';
import { variables } from '../../../src/settings/table.ts';
import { propertyRuns } from '../../helpers/property-runs.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const load = (env: Record<string, string>): LoadedSettings => loadSettings({ env, envFile: null });

/** Returns the value of a variable that is set to `text`, as it is written in the environment, or 'rejected'. */
function read(name: string, text: string): string {
  try {
    // Without credentials the origin * is valid; staging needs the secret.
    const { origins } = load({
      APP_CORS_ALLOW_CREDENTIALS: 'false',
      SECURITY_JWT_SECRET: testSecret,
      [name]: text,
    });
    return origins.find((origin) => origin.name === name)?.value ?? 'unknown';
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return 'rejected';
  }
}

const tables: Record<string, readonly (readonly [text: string, value: string])[]> = {
  APP_DEBUG: [
    ['true', 'true'],
    ['TRUE', 'true'],
    ['1', 'true'],
    ['Yes', 'true'],
    ['on', 'true'],
    ['false', 'false'],
    ['0', 'false'],
    ['no', 'false'],
    ['OFF', 'false'],
    ['2', 'rejected'],
    ['t', 'rejected'],
    ['null', 'rejected'],
  ],
  APP_PORT: [
    ['0', '0'],
    ['65535', '65535'],
    ['65536', 'rejected'],
    ['-1', 'rejected'],
    ['+1', 'rejected'],
    ['08000', 'rejected'],
    ['1e3', 'rejected'],
    ['0x10', 'rejected'],
    ['80.0', 'rejected'],
    ['8_000', 'rejected'],
    ['８０', 'rejected'],
    ['NaN', 'rejected'],
    ['9'.repeat(400), 'rejected'],
  ],
  APP_WORKERS: [
    ['1', '1'],
    ['0', 'rejected'],
    ['-1', 'rejected'],
    ['two', 'rejected'],
  ],
  APP_ENVIRONMENT: [
    ['test', 'test'],
    ['Staging', 'staging'],
    ['prod', 'rejected'],
    ['__proto__', 'rejected'],
    ['constructor', 'rejected'],
  ],
  APP_LOG_LEVEL: [
    ['debug', 'DEBUG'],
    ['Warn', 'WARNING'],
    ['FATAL', 'CRITICAL'],
    ['verbose', 'rejected'],
    ['__proto__', 'rejected'],
  ],
  APP_API_PREFIX: [
    ['/api/v2', '/api/v2'],
    ['/a', '/a'],
    ['api', 'rejected'],
    ['/api/', 'rejected'],
    ['/', 'rejected'],
    ['//api', 'rejected'],
    ['/api/../v1', 'rejected'],
    ['/api/:id', 'rejected'],
    ['/api/*', 'rejected'],
    ['/a b', 'rejected'],
    ['/a%2Fb', 'rejected'],
  ],
  APP_DATABASE_MIGRATE: [
    ['Auto', 'auto'],
    ['yes', 'true'],
    ['never', 'rejected'],
  ],
  APP_PROJECT_NAME: [
    ['Ümläut 🎉', 'Ümläut 🎉'],
    ['two\nlines', 'rejected'],
    ['x'.repeat(101), 'rejected'],
  ],
  SECURITY_CSP_POLICY: [
    ["default-src 'none'; img-src https:", "default-src 'none'; img-src https:"],
    ['a\r\nSet-Cookie: x', 'rejected'],
    ['ümläut', 'rejected'],
  ],
  APP_DISABLED_LAYERS: [
    ['etag, Compression', '["etag","compression"]'],
    ['["cors"]', '["cors"]'],
    ['error-boundary', 'rejected'],
    ['etags', 'rejected'],
    ['constructor', 'rejected'],
  ],
  APP_ALLOWED_HOSTS: [
    ['["a.example","b.example"]', '["a.example","b.example"]'],
    ['a.example,b.example', '["a.example","b.example"]'],
    [' a.example , ,b.example, ', '["a.example","b.example"]'],
    ['a.example,a.example', '["a.example"]'],
    ['[]', '[]'],
    ['["a.example"', 'rejected'],
    ['["a.example",1]', 'rejected'],
    ['{"a":1}', 'rejected'],
    ['[["a.example"]]', 'rejected'],
    ['[""]', 'rejected'],
  ],
};

for (const [name, rows] of Object.entries(tables)) {
  describe(name, () => {
    for (const [text, value] of rows) {
      const shown = JSON.stringify(text).slice(0, 60);
      test(`${shown} ${value === 'rejected' ? 'is rejected' : `is read as ${value}`}`, () => {
        assert.equal(read(name, text), value);
      });
    }
  });
}

describe('every variable', () => {
  const names = variables.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '*',
      'auto',
      'true',
      '0',
      '-0',
      '[]',
      '[',
      '["*"]',
      '[null]',
      'embedded',
      '::/0',
      '/',
      'a,b',
      '@',
      '://',
    ),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.webUrl().map((url) => url.replace(/^https?/, 'postgres')),
    fc
      .array(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string()), { maxLength: 4 })
      .map((list) => JSON.stringify(list)),
    fc.array(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), { maxLength: 4 }).map((list) => list.join(',')),
    fc.nat().map(String),
  );
  const junk = fc.string({ unit: fc.constantFrom(...'ab5 :/?#@%[]"\',\n\\*'), maxLength: 6 });
  const urlsWithPassword = fc
    .tuple(fc.constantFrom('postgres', 'mysql', 'https', 'postgresql+asyncpg'), junk, junk, junk)
    .map(([scheme, before, after, rest]) => `${scheme}://ada:${before}hunter2${after}@db/${rest}`);
  const environments = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), texts, { maxKeys: 6 });

  /** The settings without those that depend on where a variable was set. */
  const valuesOf = ({ settings }: LoadedSettings) => {
    const { databaseNamedBy: _, adoptsEmptyDatabase: __, ...application } = settings.application;
    return { ...settings, application };
  };

  test('every text is either rejected with a StartError, or accepted and printed so that it is read as the same value', () => {
    fc.assert(
      fc.property(environments, (env) => {
        let loaded: LoadedSettings;
        try {
          loaded = load(env);
        } catch (error) {
          assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
          assert.doesNotMatch(error.message, /undefined|Invalid input|\[object/);
          return;
        }
        const values = new Map(
          Object.values(loaded.settings).flatMap((group) => Object.entries<unknown>({ ...group })),
        );
        const again = load(
          Object.fromEntries(variables.map(({ name, key }) => [name, printValue(values.get(key) ?? '')])),
        );
        assert.deepEqual(valuesOf(again), valuesOf(loaded));
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });

  test('many of the random texts are accepted, so the property above is not trivial', () => {
    const samples = fc.sample(environments, { numRuns: 300, seed: 1 });
    const accepted = samples.filter((env) => {
      try {
        load(env);
        return true;
      } catch {
        return false;
      }
    });
    assert.ok(accepted.length > 60, `only ${accepted.length} of ${samples.length} were accepted`);
  });

  test('no error shows the password of a URL', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), urlsWithPassword, (name, url) => {
        try {
          load({ [name]: url });
        } catch (error) {
          assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
          assert.doesNotMatch(error.message, /hunter2/);
        }
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });

  test('an accepted database URL is shown without its password', () => {
    fc.assert(
      fc.property(urlsWithPassword, (url) => {
        assert.doesNotMatch(read('DATABASE_URL', url.replace(/^[a-z]+:/, 'postgres:')), /hunter2/);
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });
});
