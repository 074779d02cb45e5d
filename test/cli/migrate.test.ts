import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import postgres from 'postgres';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { commandOf } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

interface Outcome {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `npm run migrate` with the arguments and the settings. */
function migrate(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Outcome> {
  const command = [...commandOf('cli/migrate'), ...args];
  const options = { env: { PATH: process.env.PATH, ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

describe('npm run migrate', () => {
  it('npm run migrate lists, applies and reverts migrations', async (t) => {
    const env = { APP_DATABASE_URL: await mustCreateDatabase(t, { empty: true }) };
    assert.match((await migrate(['status'], env)).stdout, /^pending {3}0001_create_users\npending {3}0002_/);
    assert.match((await migrate(['up'], env)).stdout, /^applied {3}0001_create_users\napplied {3}0002_/);
    assert.match((await migrate(['status'], env)).stdout, /^applied {3}0001_create_users {2}20\d\d-/);
    assert.match((await migrate(['down', '--to', '1'], env)).stdout, /reverted {2}0002_create_sessions\n$/);
    const last = await migrate(['up'], env);
    assert.doesNotMatch(last.stdout, /0001/);
    assert.deepEqual([last.code, last.stderr], [0, '']);
  });

  it('npm run migrate adds its tables to those of another program only with --into-existing', async (t) => {
    const url = await mustCreateDatabase(t, { empty: true });
    const sql = postgres(url, { max: 1 });
    await sql`create table orders (id int)`.finally(() => sql.end());
    const env = { DATABASE_URL: url };
    const refused = await migrate(['up'], env);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /which DATABASE_URL in the environment names, has tables .* \(orders\)/);
    assert.match((await migrate(['down'], env)).stdout, /^No applied migrations to revert/);
    assert.match((await migrate(['up', '--into-existing'], env)).stdout, /^applied {3}0001_create_users\n/);
    assert.match((await migrate(['up'], env)).stdout, /^No migrations are pending/);
  });

  it('npm run migrate uses the embedded database of a running server', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'strata-cli-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const { log } = captureLog();
    const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
    t.after(() => embedded.stop());
    await migrateUp({ url: embedded.url, log });
    const { stdout } = await migrate(['status'], { APP_DATA_DIR: folder });
    assert.match(stdout, /^applied {3}0001_create_users/);
  });

  it('npm run migrate prints one sentence and exits with code 1 when it fails', async () => {
    const none = { APP_DATABASE_URL: 'none' };
    const failing: readonly (readonly [args: string[], env: Record<string, string>, stderr: RegExp])[] = [
      [[], none, /^Usage: /],
      [['sideways'], none, /^Usage: /],
      [['up', '--to', '1'], none, /^Usage: /],
      [['down', '--too', '1'], none, /^Usage: /],
      [['up', 'down'], none, /^Usage: /],
      [
        ['new', 'add_color'],
        none,
        /^`npm run new -- migration NAME` writes the next file of sql\/: use that\.$/,
      ],
      [['down', '--into-existing'], none, /^Usage: /],
      [['up'], none, /^This command needs a database, but APP_DATABASE_URL is none: set it/],
      [['up'], { APP_DATABASE_URL: 'mysql://x' }, /APP_DATABASE_URL/],
      [
        ['status'],
        { APP_DATABASE_URL: 'postgres://ada:hushhush@127.0.0.1:1/x' },
        /^The database does not answer: .*APP_DATABASE_URL in the environment.*ECONNREFUSED/,
      ],
    ];
    for (const [args, env, expected] of failing) {
      const { code, stdout, stderr } = await migrate(args, env);
      assert.equal(code, 1, args.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr.split('\n').at(-2) ?? '', expected);
      assert.doesNotMatch(stderr, /hushhush|\n {4}at /);
    }
  });
});
