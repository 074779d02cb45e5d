import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { databaseRow, recordAdvice, renderBanner } from '../../src/program/banner.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { captureLog } from '../helpers/captured-log.ts';

/** Returns the row of the database for an environment, and for the URL that the start has opened. */
function rowFor(env: Record<string, string>, url: string | null) {
  const { settings, origins } = loadSettings({ env, envFile: null });
  return databaseRow(settings, origins, url);
}

describe('the banner', () => {
  const rows = [
    { label: 'API', text: 'http://127.0.0.1:8000/api/v1' },
    {
      label: 'Database',
      text: 'shop on a-database-server.eu-central-1.example.org:5432',
      note: 'DATABASE_URL in the environment',
    },
  ];

  it('the banner has one line per address, with the explanation beside it where it fits', () => {
    const lines = renderBanner('Shop 1.2.0 (local)', [{ label: 'API', text: 'http://x', note: 'all' }], []);
    assert.equal(lines, '\nShop 1.2.0 (local)\n\n  API         http://x (all)\n\n');
  });

  it('no line of the banner has more than 80 columns', () => {
    const advice = 'APP_MANAGEMENT_HOST opens the management port to other machines: '.repeat(4);
    const lines = renderBanner('Shop 1.2.0 (local)', rows, [advice]).split('\n');
    assert.deepEqual(
      lines.filter((line) => line.length > 80),
      [],
    );
    assert.ok(lines.includes('              (DATABASE_URL in the environment)'));
  });

  it('the warnings follow after the addresses, with all of their words', () => {
    const text = renderBanner('Shop', rows, ['The first one.', 'The second one.']);
    assert.match(
      text,
      /DATABASE_URL[\s\S]*\n\n {2}Warning: The first one\.\n\n {2}Warning: The second one\.\n\n$/,
    );
  });
});

describe('the database in the banner', () => {
  it('a database server is named by host and name, without the password, and by the variable that selected it', () => {
    const url = 'postgres://ada:hunter2@db.example.org:6432/shop';
    const row = rowFor({ DATABASE_URL: url }, url);
    assert.equal(row.text, 'shop on db.example.org:6432');
    assert.equal(row.note, 'DATABASE_URL in the environment');
  });

  it('the embedded database is named with its address, its folder and the fact that no variable selected it', () => {
    const row = rowFor({}, 'postgres://strata:hunter2@127.0.0.1:41000/strata');
    assert.equal(row.text, 'strata on 127.0.0.1:41000');
    assert.equal(row.note, 'embedded, in .data/postgres; APP_DATABASE_URL is not set');
  });

  it('a program without a database shows which variable switched it off', () => {
    const row = rowFor({ APP_DATABASE_URL: 'none' }, null);
    assert.deepEqual([row.text, row.note], ['none', 'APP_DATABASE_URL in the environment']);
  });
});

it('the advice of each warning is recorded and still logged, whichever part logs it', () => {
  const captured = captureLog();
  const advices: string[] = [];
  const log = recordAdvice(captured.log, advices);
  log.warning('config.warning', { advice: 'first' });
  log.named('management').warning('config.warning', { advice: 'second' });
  log.warning('database.notice', { message: 'no advice' });
  assert.deepEqual(advices, ['first', 'second']);
  assert.equal(captured.of('config.warning').length, 2);
});
