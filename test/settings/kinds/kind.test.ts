import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StartError } from '../../../src/errors.ts';
import { printValue } from '../../../src/settings/kinds/kind.ts';
import { type LoadedSettings, loadSettings } from '../../../src/settings/load.ts';
import { variables } from '../../../src/settings/table.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const load = (env: Record<string, string>): LoadedSettings => loadSettings({ env, envFile: null });

/** The value of a variable when it is set to `text`, in the notation of the environment, or 'refused'. */
function read(name: string, text: string): string {
  try {
    // Credentials off, so that the origin * can be read on its own; and what staging does not start without.
    const { origins } = load({
      APP_CORS_ALLOW_CREDENTIALS: 'false',
      SECURITY_JWT_SECRET: testSecret,
      [name]: text,
    });
    return origins.find((origin) => origin.name === name)?.value ?? 'unknown';
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return 'refused';
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
    ['2', 'refused'],
    ['t', 'refused'],
    ['null', 'refused'],
  ],
  APP_PORT: [
    ['0', '0'],
    ['65535', '65535'],
    ['65536', 'refused'],
    ['-1', 'refused'],
    ['+1', 'refused'],
    ['08000', 'refused'],
    ['1e3', 'refused'],
    ['0x10', 'refused'],
    ['80.0', 'refused'],
    ['8_000', 'refused'],
    ['８０', 'refused'],
    ['NaN', 'refused'],
    ['9'.repeat(400), 'refused'],
  ],
  APP_WORKERS: [
    ['1', '1'],
    ['0', 'refused'],
    ['-1', 'refused'],
    ['two', 'refused'],
  ],
  APP_ENVIRONMENT: [
    ['test', 'test'],
    ['Staging', 'staging'],
    ['prod', 'refused'],
    ['__proto__', 'refused'],
    ['constructor', 'refused'],
  ],
  APP_LOG_LEVEL: [
    ['debug', 'DEBUG'],
    ['Warn', 'WARNING'],
    ['FATAL', 'CRITICAL'],
    ['verbose', 'refused'],
    ['__proto__', 'refused'],
  ],
  APP_API_PREFIX: [
    ['/api/v2', '/api/v2'],
    ['/a', '/a'],
    ['api', 'refused'],
    ['/api/', 'refused'],
    ['/', 'refused'],
    ['//api', 'refused'],
    ['/api/../v1', 'refused'],
    ['/api/:id', 'refused'],
    ['/api/*', 'refused'],
    ['/a b', 'refused'],
    ['/a%2Fb', 'refused'],
  ],
  APP_DATABASE_MIGRATE: [
    ['Auto', 'auto'],
    ['yes', 'true'],
    ['never', 'refused'],
  ],
  APP_PROJECT_NAME: [
    ['Ümläut 🎉', 'Ümläut 🎉'],
    ['two\nlines', 'refused'],
    ['x'.repeat(101), 'refused'],
  ],
  SECURITY_CSP_POLICY: [
    ["default-src 'none'; img-src https:", "default-src 'none'; img-src https:"],
    ['a\r\nSet-Cookie: x', 'refused'],
    ['ümläut', 'refused'],
  ],
  APP_DISABLED_LAYERS: [
    ['etag, Compression', '["etag","compression"]'],
    ['["cors"]', '["cors"]'],
    ['error-boundary', 'refused'],
    ['etags', 'refused'],
    ['constructor', 'refused'],
  ],
  APP_ALLOWED_HOSTS: [
    ['["a.example","b.example"]', '["a.example","b.example"]'],
    ['a.example,b.example', '["a.example","b.example"]'],
    [' a.example , ,b.example, ', '["a.example","b.example"]'],
    ['a.example,a.example', '["a.example"]'],
    ['[]', '[]'],
    ['["a.example"', 'refused'],
    ['["a.example",1]', 'refused'],
    ['{"a":1}', 'refused'],
    ['[["a.example"]]', 'refused'],
    ['[""]', 'refused'],
  ],
};

for (const [name, rows] of Object.entries(tables)) {
  describe(name, () => {
    for (const [text, value] of rows) {
      const shown = JSON.stringify(text).slice(0, 60);
      test(`${shown} ${value === 'refused' ? 'is refused' : `is read as ${value}`}`, () => {
        assert.equal(read(name, text), value);
      });
    }
  });
}

describe('any text in any variable', () => {
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

  test('is either refused with a StartError or accepted, and what is accepted reads as the same again', () => {
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
        assert.deepEqual(again.settings, loaded.settings);
      }),
      { numRuns: 2000 },
    );
  });

  test('accepts many of the texts that the property tries, so that it does not hold by refusing everything', () => {
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

  test('never brings up in a fault the password of a URL in it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), urlsWithPassword, (name, url) => {
        try {
          load({ [name]: url });
        } catch (error) {
          assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
          assert.doesNotMatch(error.message, /hunter2/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('is shown without its password where it is accepted as the database', () => {
    fc.assert(
      fc.property(urlsWithPassword, (url) => {
        assert.doesNotMatch(read('DATABASE_URL', url.replace(/^[a-z]+:/, 'postgres:')), /hunter2/);
      }),
      { numRuns: 2000 },
    );
  });
});
