import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { commandOf, mustMakeFolder } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const password = 'correct horse battery staple';
const ada = ['create', '--username', 'ada', '--email', 'ada@example.org'];

interface Outcome {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `npm run user` with the arguments and the settings, and `input` on its standard input. */
async function user(args: readonly string[], env: Record<string, string>, input = ''): Promise<Outcome> {
  const command = [...commandOf('cli/user'), ...args];
  const child = spawn(process.execPath, command, { env: { PATH: process.env.PATH, ...env } });
  // A command that does not read its input may exit before it is written.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code, stdout, stderr };
}

const done = (stdout: string): Outcome => ({ code: 0, stdout, stderr: '' });

describe('npm run user', () => {
  it('npm run user creates the first admin, lists the admins, and changes a role', async (t) => {
    const env = { APP_DATABASE_URL: await mustCreateDatabase(t) };
    const created = await user([...ada, '--admin', '--password-stdin'], env, `${password}\n`);
    assert.deepEqual(created, done('Created the admin ada (number 1).\n'));
    const { stdout } = await user(['list', '--admins'], env);
    assert.match(
      stdout,
      /^ {5}1 {2}admin {2}20\d\d-\d\d-\d\d {2}ada {19}ada@example\.org \(not verified\)\n$/,
    );
    const sentences =
      'ada is a user now. Running servers apply this within 15 seconds.\nThere is no admin left: use `role <username> admin` to appoint one.\n';
    assert.deepEqual(await user(['role', 'ada', 'user'], env), done(sentences));
  });

  it('npm run user generates a password and shows it once', async (t) => {
    const env = { APP_DATABASE_URL: await mustCreateDatabase(t) };
    const { code, stdout, stderr } = await user([...ada, '--generate-password'], env);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(
      stdout,
      /^Created the user ada \(number 1\)\.\nThe password \(shown only once\): [\w-]{24}\n$/,
    );
  });

  it('npm run user uses the embedded database of a running server', async (t) => {
    const folder = await mustMakeFolder(t);
    const { log } = captureLog();
    const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
    t.after(() => embedded.stop());
    await migrateUp({ url: embedded.url, log });
    const env = { APP_DATA_DIR: folder, SECURITY_SESSION_RECHECK_SECONDS: '0' };
    const created = await user([...ada, '--password-stdin'], env, password);
    assert.deepEqual(created, done('Created the user ada (number 1).\n'));
    const ended = await user(['end-sessions', 'ada'], env);
    assert.deepEqual(ended, done('Ended 0 sessions of ada; running servers reject them immediately.\n'));
  });

  it('npm run user prints one sentence and exits with code 1 when it fails', async (t) => {
    const ready = { APP_DATABASE_URL: await mustCreateDatabase(t) };
    const empty = { APP_DATABASE_URL: await mustCreateDatabase(t, { empty: true }) };
    const none = { APP_DATABASE_URL: 'none' };
    const failing: readonly (readonly [args: string[], env: Record<string, string>, stderr: RegExp])[] = [
      [['destroy'], none, /^Usage: /],
      [[...ada, '--password', password], none, /^Usage: /],
      [[...ada, '--password-stdin', '--generate-password'], none, /^Usage: /],
      [['role', 'ada', 'root'], none, /^Usage: /],
      [['list'], none, /^This command needs a database, but APP_DATABASE_URL is none: set it/],
      [['list'], empty, /^\d+ migrations are pending: run `npm run migrate -- up` first\.$/],
      [
        ['list'],
        { DATABASE_URL: 'postgres://ada:hushhush@127.0.0.1:1/x' },
        /^The database does not answer: start it, or correct DATABASE_URL in the environment \(connect ECONNREFUSED/,
      ],
      [
        ada,
        none,
        /^Standard input is not a terminal, so the password cannot be asked for: pipe it in with --password-stdin/,
      ],
      [
        ['role', 'ada', 'admin'],
        ready,
        /^There is no user with the name "ada": check it with `npm run user -- list`\.$/,
      ],
    ];
    for (const [args, env, expected] of failing) {
      const { code, stdout, stderr } = await user(args, env);
      assert.deepEqual([code, stdout], [1, ''], args.join(' '));
      assert.match(stderr, new RegExp(expected.source, 'm'), args.join(' '));
      assert.doesNotMatch(stderr, /hushhush|correct horse|\n {4}at /);
    }
  });
});
