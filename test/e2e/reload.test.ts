import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { cp, mkdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { createJwt } from '../../src/auth/jwt/jwt.ts';
import { withTimeout } from '../../src/concurrency/with-timeout.ts';
import { eventually } from '../helpers/eventually.ts';
import { request as get } from '../helpers/http-client.ts';
import {
  addCode,
  mustCopyProgram,
  mustMakeFolder,
  type Program,
  startProgram,
  startProgramIn,
} from '../helpers/program.ts';
import { testSecret } from '../helpers/test-secret.ts';

const two = { APP_WORKERS: '2', APP_MANAGEMENT_PORT: '0', APP_RELOAD_CANARY_SECONDS: '0' };

async function startTwo(program: Program): Promise<string> {
  await program.logged(/"worker":1.*"event":"process.ready"/);
  await program.logged(/"worker":2.*"event":"process.ready"/);
  await eventually('the program handles signals', () => program.stderr().includes('Ctrl+C'));
  return program.ready;
}

async function idsOf(program: Program): Promise<number[]> {
  const { json } = await get(Number(new URL(await program.management).port), { path: '/workers' });
  return json.map(({ id }: { readonly id: number }) => id);
}

async function projectName(url: string): Promise<string> {
  const { json } = await get(Number(new URL(url).port), { path: '/api/v1/meta' });
  return json.name;
}

/** Returns an access token of a server with this secret. */
function tokenSignedWith(secret: string): string {
  const jwt = createJwt({
    algorithm: 'HS256',
    secrets: [secret],
    issuer: 'strata',
    audience: 'strata',
    leewaySeconds: 0,
  });
  const claims = { subject: '1', sessionId: randomUUID(), lifetimeSeconds: 600 };
  return jwt.sign(claims, Math.floor(Date.now() / 1000));
}

function statusOf(url: string, agent: Agent, authorization: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/api/v1/users/me`, { agent, headers: { authorization } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    asked.on('error', reject).end();
  });
}

/** Sends requests without a pause on one connection, which stays open as long as the server allows. */
function load(url: string): { stop(): Promise<{ readonly sent: number; readonly failed: unknown[] }> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const failed: unknown[] = [];
  let sent = 0;
  let isOver = false;
  const once = () =>
    new Promise<void>((resolve) => {
      sent += 1;
      const asked = request(`${url}/api/v1/meta`, { agent }, (response) => {
        if (response.statusCode !== 200) failed.push(response.statusCode);
        response.resume().on('end', resolve);
      });
      asked.on('error', (error) => {
        failed.push(error);
        resolve();
      });
      asked.end();
    });
  const running = (async () => {
    while (!isOver) await once();
  })();
  return {
    async stop() {
      isOver = true;
      await running;
      agent.destroy();
      return { sent, failed };
    },
  };
}

/** These tests share one program, since the start of three processes takes longer than the rest. */
describe('a program that is reloaded repeatedly', () => {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (cleanup: () => unknown) => void cleanups.unshift(cleanup) };
  let folder = '';
  let program: Program;
  let url = '';

  const writeSettings = (settings: Readonly<Record<string, string>> = {}) => {
    const all = { APP_WORKERS: '2', APP_RELOAD_CANARY_SECONDS: '0', ...settings };
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
    return writeFile(join(folder, '.env'), lines.join(''));
  };
  const requestReload = () => {
    program.forget();
    program.process.kill('SIGHUP');
  };

  before(async () => {
    folder = await mustCopyProgram(t);
    await writeSettings();
    const env = { APP_MANAGEMENT_PORT: '0', SECURITY_RATE_LIMIT_ENABLED: 'false' };
    program = startProgram(t, env, [], folder);
    url = await startTwo(program);
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });

  test('a reload replaces every worker, applies the new settings, and loses no request', async () => {
    const [, last = 0] = await idsOf(program);
    const kept = load(url);
    await writeSettings({ APP_PROJECT_NAME: 'Renewed' });
    requestReload();
    await program.logged(/"event":"reload.completed"/);
    const { sent, failed } = await kept.stop();
    assert.ok(sent > 10);
    assert.deepEqual(failed, []);
    assert.deepEqual(await idsOf(program), [last + 1, last + 2]);
    assert.equal(await projectName(url), 'Renewed');
  });

  test('a reload with invalid settings is rejected with a sentence, and changes nothing', async () => {
    const before = await idsOf(program);
    await writeSettings({ APP_KEEP_ALIVE_SECONDS: 'soon' });
    requestReload();
    const line = await program.logged(/"event":"reload.refused"/);
    assert.match(JSON.parse(line).message, /^APP_KEEP_ALIVE_SECONDS is "soon" in \.env/);
    assert.deepEqual(await idsOf(program), before);
  });

  test('changed settings of the primary are named in a warning, and the others are reloaded', async () => {
    await writeSettings({ APP_DATA_DIR: 'elsewhere', APP_PROJECT_NAME: 'Renewed again' });
    requestReload();
    await program.logged(/APP_DATA_DIR has changed.*"event":"config.warning"/);
    await program.logged(/"event":"reload.completed"/);
    assert.equal(await projectName(url), 'Renewed again');
  });

  const broken = [
    { what: 'throws at its start', code: "throw new Error('broken');", settings: {}, failure: /code 1/ },
    {
      what: 'hangs at its start',
      code: 'setInterval(() => {}, 60_000); await new Promise(() => {});',
      settings: { APP_WORKER_START_TIMEOUT_SECONDS: '1' },
      failure: /not ready within 1 s/,
    },
    {
      what: 'dies soon after its start',
      // It dies when its metrics are collected, which this test does.
      code: "process.on('message', ({ kind }) => kind === 'scrape' && process.kill(process.pid, 'SIGKILL'));",
      settings: { APP_RELOAD_CANARY_SECONDS: '60' },
      failure: /The new process \d+ exited soon after its start/,
      isCanary: true,
    },
  ];

  for (const { what, code, settings, failure, isCanary = false } of broken) {
    test(`a new version that ${what} fails the reload; the old workers keep running until it is fixed`, async () => {
      const before = await idsOf(program);
      const [, last = 0] = before;
      const kept = load(url);
      const file = join(folder, 'dist', 'main.js');
      await cp(file, `${file}.good`);
      await addCode(folder, code);
      await writeSettings(settings);
      requestReload();
      if (isCanary) {
        await program.logged(new RegExp(`"worker":${last + 1},.*"event":"process.ready"`));
        await get(Number(new URL(await program.management).port), { path: '/metrics' });
      }
      const line = await program.logged(/"event":"reload.failed"/);
      assert.match(JSON.parse(line).message, failure);
      await eventually(
        'only the old workers are left',
        async () => `${await idsOf(program)}` === `${before}`,
      );
      assert.deepEqual((await kept.stop()).failed, []);

      await cp(`${file}.good`, file);
      await writeSettings();
      requestReload();
      await program.logged(/"event":"reload.completed"/);
      assert.deepEqual(await idsOf(program), [last + 2, last + 3]);
    });
  }

  test('a reload changes the number of workers to that of the settings', async () => {
    const [, last = 0] = await idsOf(program);
    await writeSettings({ APP_WORKERS: '1' });
    requestReload();
    await program.logged(/"workers":1,"event":"reload.completed"/);
    assert.deepEqual(await idsOf(program), [last + 1]);
  });
});

test('old workers that die while a reload waits for a hanging version are replaced by the old version', async (t) => {
  const folder = await mustCopyProgram(t);
  await writeFile(join(folder, '.env'), 'APP_PROJECT_NAME=Old\n');
  const program = startProgram(t, two, [], folder);
  const url = await startTwo(program);
  const code = 'setInterval(() => {}, 60_000); await new Promise(() => {});';
  await addCode(folder, code);
  await writeFile(join(folder, '.env'), 'APP_PROJECT_NAME=New\nAPP_WORKER_START_TIMEOUT_SECONDS=60\n');
  program.process.kill('SIGHUP');
  await program.logged(/"event":"reload.started"/);
  for (const [killed, successor] of [
    [1, 4],
    [2, 5],
  ] as const) {
    const { pid } = JSON.parse(
      await program.logged(new RegExp(`"worker":${killed},.*"event":"process.ready"`)),
    );
    process.kill(pid, 'SIGKILL');
    await program.logged(new RegExp(`"worker":${successor},.*"event":"process.ready"`));
    assert.equal(await projectName(url), 'Old');
  }
  assert.deepEqual(await idsOf(program), [3, 4, 5]);
});

test('while one reload runs, one more waits, and a third is ignored', async (t) => {
  const program = startProgram(t, two);
  await startTwo(program);
  program.process.kill('SIGHUP');
  await program.logged(/"event":"reload.started"/);
  program.process.kill('SIGHUP');
  await program.logged(/"worker":3.*"event":"process.ready"/);
  program.process.kill('SIGHUP');
  await program.logged(/"reload":2,.*"event":"reload.completed"/);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0);
  assert.doesNotMatch(program.stdout(), /"reload":3/);
});

test('a version that cannot start is retried with increasing delays, and the log reports a crash loop', async (t) => {
  const folder = await mustCopyProgram(t);
  const flag = join(folder, 'broken');
  const code = `if ((await import('node:fs')).existsSync(${JSON.stringify(flag)})) throw new Error('broken');`;
  await addCode(folder, code);
  const program = startProgram(t, two, [], folder);
  await startTwo(program);
  await writeFile(flag, '');
  const { pid } = JSON.parse(await program.logged(/"worker":1,.*"event":"process.ready"/));
  process.kill(pid, 'SIGKILL');
  await program.logged(/"deaths":3,"delay_ms":400,.*"event":"process.restart_delayed"/);
  assert.deepEqual((await idsOf(program)).includes(2), true);
});

test('the start fails with one sentence if a worker does not become ready', async (t) => {
  const folder = await mustCopyProgram(t);
  // The primary runs this code too; only a worker has a channel to a parent.
  const hang = 'if (process.connected) await new Promise((resolve) => setTimeout(resolve, 60_000));';
  await addCode(folder, hang);
  const startedAt = performance.now();
  const program = startProgram(t, { ...two, APP_WORKER_START_TIMEOUT_SECONDS: '1' }, [], folder);
  assert.equal((await program.ended).code, 1);
  // It has no request to finish, so it does not get the grace time of 30 s.
  assert.ok(performance.now() - startedAt < 20_000);
  assert.match(program.stderr(), /A worker was not ready within 1 s/);
});

/** Two releases, of which `current` is a link to the first, as deployment tools lay them out. */
async function mustMakeReleases(t: TestContext) {
  const base = await realpath(await mustMakeFolder(t));
  const releases = [join(base, 'releases', '1'), join(base, 'releases', '2')] as const;
  await mkdir(join(base, 'releases'));
  for (const [index, release] of releases.entries()) {
    await rename(await mustCopyProgram(t), release);
    const file = join(release, 'package.json');
    const json = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...json, version: `${index + 1}.0.0` }));
    await writeFile(join(release, '.env'), `APP_PROJECT_NAME=Release ${index + 1}\n`);
  }
  const current = join(base, 'current');
  await symlink(releases[0], current);
  const deploy = async (release: string) => {
    await symlink(release, `${current}.new`);
    await rename(`${current}.new`, current);
  };
  return { base, releases, current, deploy };
}

async function releaseOf(url: string): Promise<string> {
  const { json } = await get(Number(new URL(url).port), { path: '/api/v1/meta' });
  return `${json.name} ${json.version}`;
}

for (const how of ['from the folder current', 'by a path through current'] as const) {
  test(`a reload of a program started ${how} runs the release that the link points to now`, async (t) => {
    const { releases, current, deploy } = await mustMakeReleases(t);
    const program =
      how === 'from the folder current' ? startProgramIn(t, current, two) : startProgram(t, two, [], current);
    const url = await startTwo(program);
    assert.equal(await releaseOf(url), 'Release 1 1.0.0');
    await deploy(releases[1]);
    program.process.kill('SIGHUP');
    const { version, folder } = JSON.parse(await program.logged(/"event":"reload.completed"/));
    assert.deepEqual({ version, folder }, { version: '2.0.0', folder: releases[1] });
    assert.equal(await releaseOf(url), 'Release 2 2.0.0');

    // The old release is not needed any more, not even by workers that are replaced later.
    await rm(releases[0], { recursive: true });
    const { pid } = JSON.parse(await program.logged(/"worker":3,.*"event":"process.ready"/));
    process.kill(pid, 'SIGKILL');
    await program.logged(/"worker":5,.*"event":"process.ready"/);
    assert.equal(await releaseOf(url), 'Release 2 2.0.0');
  });
}

test('a release that does not start leaves the old release and its settings in place', async (t) => {
  const { releases, current, deploy } = await mustMakeReleases(t);
  const program = startProgramIn(t, current, two);
  const url = await startTwo(program);
  await addCode(releases[1], "throw new Error('broken');");
  await deploy(releases[1]);
  program.process.kill('SIGHUP');
  const failed = JSON.parse(await program.logged(/"event":"reload.failed"/));
  assert.deepEqual([failed.version, failed.folder], ['2.0.0', releases[1]]);
  const { pid } = JSON.parse(await program.logged(/"worker":1,.*"event":"process.ready"/));
  process.kill(pid, 'SIGKILL');
  await program.logged(/"worker":4,.*"event":"process.ready"/);
  assert.equal(await releaseOf(url), 'Release 1 1.0.0');
});

test('a link that the program cannot follow is named in a warning', async (t) => {
  const { releases, current, deploy } = await mustMakeReleases(t);
  const program = startProgram(t, two, [], releases[0]);
  await startTwo(program);
  await deploy(releases[1]);
  program.process.kill('SIGHUP');
  const { advice } = JSON.parse(
    await program.logged(/a reload loads the old release again.*"event":"config.warning"/),
  );
  assert.ok(advice.includes(`restart it as \`node ${join(current, 'dist', 'main.js')}\``), advice);
  const { folder } = JSON.parse(await program.logged(/"event":"reload.completed"/));
  assert.equal(folder, releases[0]);
});

test('a removed secret is invalid on an open connection after the reload, not only after the keep-alive time', async (t) => {
  const folder = await mustCopyProgram(t);
  const [old, renewed] = [testSecret, [...testSecret].reverse().join('')];
  const writeSecrets = (secrets: readonly string[]) =>
    writeFile(join(folder, '.env'), `SECURITY_JWT_SECRETS=${JSON.stringify(secrets)}\n`);
  await writeSecrets([renewed, old]);
  const env = {
    ...two,
    SECURITY_JWT_SECRET: '',
    APP_KEEP_ALIVE_SECONDS: '600',
    APP_SHUTDOWN_GRACE_SECONDS: '600',
  };
  const program = startProgram(t, env, [], folder);
  const url = await startTwo(program);
  const authorization = `Bearer ${tokenSignedWith(old)}`;
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  const ask = () => statusOf(url, agent, authorization);
  // Without a database, an accepted token gets 503.
  assert.deepEqual(await Promise.all([ask(), ask(), ask(), ask()]), [503, 503, 503, 503]);
  await writeSecrets([renewed]);
  program.process.kill('SIGHUP');
  // It is completed when all old workers have exited, although their connections were open and idle.
  await withTimeout(program.logged(/"event":"reload.completed"/), 20_000, () => {
    program.process.kill('SIGKILL');
    throw new Error('The old workers kept their connections.');
  });
  assert.deepEqual(await Promise.all([ask(), ask(), ask(), ask()]), [401, 401, 401, 401]);
});

test('a secret file that changes takes effect at SIGHUP, and not in a worker that replaces a dead one', async (t) => {
  const file = join(await mustMakeFolder(t), 'jwt-secret');
  const renewed = [...testSecret].reverse().join('');
  await writeFile(file, `${testSecret}\n`);
  const program = startProgram(t, { ...two, SECURITY_JWT_SECRET: '', SECURITY_JWT_SECRET_FILE: file });
  const url = await startTwo(program);
  const authorization = `Bearer ${tokenSignedWith(testSecret)}`;
  /** Asks on connections of their own, which the primary hands to both workers in turn. */
  const askBoth = () => {
    const agent = new Agent();
    return Promise.all([1, 2, 3, 4].map(() => statusOf(url, agent, authorization)));
  };
  await writeFile(file, `${renewed}\n`);
  const { json } = await get(Number(new URL(await program.management).port), { path: '/workers' });
  process.kill(json[0].pid, 'SIGKILL');
  await program.logged(/"worker":3.*"event":"process.ready"/);
  // Without a database, an accepted token gets 503.
  assert.deepEqual(await askBoth(), [503, 503, 503, 503]);
  program.process.kill('SIGHUP');
  await program.logged(/"event":"reload.completed"/);
  assert.deepEqual(await askBoth(), [401, 401, 401, 401]);
});
