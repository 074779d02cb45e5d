import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { renderConfigurationPage, renderEnvExample } from '../../src/settings/document.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { variables } from '../../src/settings/table.ts';

const root = join(import.meta.dirname, '../..');
const committed = (path: string) => readFileSync(join(root, path), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'strata-document-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function loadFile(text: string) {
  const envFile = join(folder, 'example.env');
  writeFileSync(envFile, text);
  return loadSettings({ env: {}, envFile });
}

describe('.env.example', () => {
  test('.env.example is what `npm run docs` writes', () => {
    assert.equal(committed('.env.example'), renderEnvExample());
  });

  test('an unchanged copy of .env.example changes no setting', () => {
    assert.ok(loadFile(renderEnvExample()).origins.every(({ origin }) => origin === 'default'));
  });

  test('.env.example with every line uncommented gives the defaults', () => {
    const uncommented = renderEnvExample().replace(/^#(?=[A-Z]+_)/gm, '');
    const { settings, origins, warnings } = loadFile(uncommented);
    const defaults = loadSettings({ env: {}, envFile: null }).settings;
    const { databaseNamedBy } = settings.application;
    assert.equal(databaseNamedBy, 'APP_DATABASE_URL in .env');
    const application = { ...defaults.application, databaseNamedBy };
    assert.deepEqual(settings, { ...defaults, application });
    assert.deepEqual(warnings, []);
    const untouched = origins.filter(({ origin }) => origin === 'default').map(({ name }) => name);
    assert.deepEqual(untouched, [
      'APP_PROJECT_VERSION',
      'APP_PUBLIC_URL',
      'APP_SMTP_URL',
      'APP_MANAGEMENT_TOKEN',
      'SECURITY_SERVER_HEADER',
      'SECURITY_REDIS_URL',
      'SECURITY_GEOIP_DATABASE_PATH',
      'SECURITY_ALERT_WEBHOOK_URL',
      'SECURITY_ALERT_WEBHOOK_SECRET',
      'SECURITY_JWT_SECRET',
      'APP_TASKS_BROKER_URL',
      'APP_TASKS_RESULT_BACKEND',
    ]);
  });
});

describe('docs/configuration.md', () => {
  test('docs/configuration.md is what `npm run docs` writes', () => {
    assert.equal(committed('docs/configuration.md'), renderConfigurationPage());
  });

  test('docs/configuration.md has one row of four cells for every variable', () => {
    const rows = renderConfigurationPage().split('\n');
    for (const { name } of variables) {
      const own = rows.filter((row) => row.startsWith(`| \`${name}\` |`));
      assert.equal(own.length, 1, name);
      assert.equal(own[0]?.split(' | ').length, 4, name);
    }
  });
});

describe('every variable', () => {
  for (const variable of variables) {
    test(`${variable.name} is named after its key ${variable.key}, and is described`, () => {
      const prefix = { application: 'APP_', server: 'APP_', security: 'SECURITY_', tasks: 'APP_TASKS_' }[
        variable.group
      ];
      assert.equal(
        variable.name,
        prefix + variable.key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
      );
      assert.match(variable.about, /\.$/);
      assert.notEqual(variable.accepts, '');
    });
  }
});
