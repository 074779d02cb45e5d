/** `preflight.cjs`: the sentences before a script that cannot work, and the choice of what runs. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { transform } from 'esbuild';
import { mustCreateDatabase } from './helpers/test-database.ts';

const root = join(import.meta.dirname, '..');
const preflight = createRequire(import.meta.url)('../preflight.cjs');
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
const scripts: Readonly<Record<string, string>> = manifest.scripts;

describe('the version of Node', () => {
  const cases = [
    ['v8.17.0', false],
    ['v20.18.3', false],
    ['v20.19.0', true],
    ['v20.20.2', true],
    ['v24.0.0', true],
  ] as const;
  for (const [version, isAccepted] of cases) {
    it(`${version} is ${isAccepted ? 'accepted' : 'rejected with a sentence that names both versions'}`, () => {
      const problem = preflight.findVersionProblem(version, manifest.engines.node);
      if (isAccepted) assert.equal(problem, undefined);
      else
        assert.match(problem, new RegExp(`^Node\\.js 20\\.19 or newer is needed, and this is ${version}:`));
    });
  }

  it('the file uses only syntax that an old Node reads, so that it gets as far as the sentence', async () => {
    const source = await readFile(join(root, 'preflight.cjs'), 'utf8');
    const [old, current] = await Promise.all(
      // Short properties are as old as Node 4, and esbuild writes them by itself.
      ['es5', 'esnext'].map((target) =>
        transform(source, { target, supported: { 'object-extensions': true } }),
      ),
    );
    assert.equal(old?.code, current?.code);
    const modules = [...source.matchAll(/require\('([^']+)'\)/g)].map(([, name]) => name);
    assert.deepEqual(modules, ['child_process', 'crypto', 'fs', 'path']);
  });
});

it('every npm script starts with the preflight, and replaces the shell by the program', () => {
  for (const [name, script] of Object.entries(scripts)) {
    assert.match(
      script,
      /^(?:node preflight\.cjs tools && |command=\$\(node preflight\.cjs [\w/-]+\) && exec \$command$)/,
      name,
    );
    if (!['build', 'check', 'dev', 'bench'].includes(name)) assert.match(script, /&& exec /, name);
  }
});

/** Runs a script of the folder as npm does, and returns its output. */
function run(folder: string, script: string, args: readonly string[] = [], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', script, '--', ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('a folder without packages', () => {
  let folder = '';
  after(() => rm(folder, { recursive: true, force: true }));
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strata-test-'));
    for (const file of ['preflight.cjs', 'package.json']) await cp(join(root, file), join(folder, file));
  });

  for (const script of ['start', 'test', 'user']) {
    it(`npm run ${script} prints one sentence that names npm ci`, () => {
      const { status, stdout, stderr } = run(folder, script);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, /^The package pino is not installed: run `npm ci` first\.\n$/);
    });
  }

  it('in production, the missing package is reported as a JSON log line', () => {
    const { stderr } = run(folder, 'start', [], { APP_ENVIRONMENT: 'production' });
    assert.equal(JSON.parse(stderr).event, 'application.failed');
  });
});

describe('an installation without development packages', () => {
  const env = { APP_DATABASE_URL: 'none', APP_PORT: '0', APP_MANAGEMENT_PORT: 'off' };
  let folder = '';
  after(() => rm(folder, { recursive: true, force: true }));
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strata-test-'));
    const parts = ['src', 'sql', 'dashboard', 'preflight.cjs', 'package.json', 'package-lock.json'];
    const built = ['dist', 'build.mjs', 'tsconfig.json', 'tsconfig.build.json'];
    for (const part of [...parts, ...built])
      await cp(join(root, part), join(folder, part), { recursive: true });
    await mkdir(join(folder, 'node_modules'));
    for (const name of Object.keys(manifest.dependencies)) {
      await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    }
  });

  for (const [script, url, ready, stopped] of [
    ['start', 'none', 'application.ready', 'application.shutdown'],
    ['worker', 'a database', 'runner.started', 'runner.stopped'],
  ] as const) {
    it(`npm run ${script} runs the built program, and SIGTERM to npm stops it in an orderly way`, async (t) => {
      const database = url === 'none' ? url : await mustCreateDatabase(t);
      const child = spawn('npm', ['run', script, '--silent'], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env, APP_DATABASE_URL: database },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const lines = linesOf(child);
      await lines.find((line) => line.includes(`"${ready}"`));
      child.kill('SIGTERM');
      await lines.find((line) => line.includes(`"${stopped}"`));
      await once(child, 'close');
    });
  }

  for (const [script, args, sentence] of [
    ['migrate', ['status'], /^This command needs a database/],
    ['user', ['list'], /^This command needs a database/],
  ] as const) {
    it(`npm run ${script} runs the built program`, () => {
      const { status, stderr } = run(folder, script, args, env);
      assert.equal(status, 1);
      assert.match(stderr, sentence);
    });
  }

  it('npm test prints one sentence that names the missing development package', () => {
    const { status, stderr } = run(folder, 'test');
    assert.equal(status, 1);
    assert.match(stderr, /^The development package \S+ is not installed.*npm ci --include=dev`\.\n$/);
  });

  it('a program that was built from other sources does not start', async (t) => {
    const source = join(folder, 'src', 'main.ts');
    await appendFile(source, '// changed\n');
    t.after(() => cp(join(root, 'src', 'main.ts'), source));
    const { status, stderr } = run(folder, 'start', [], env);
    assert.equal(status, 1);
    assert.match(stderr, /^dist\/ was built from other sources, .*npm ci --include=dev`.*\n$/);
  });

  it('an image without sources runs what was built', async () => {
    await rm(join(folder, 'src'), { recursive: true });
    assert.match(run(folder, 'migrate', ['status'], env).stderr, /^This command needs a database/);
  });
});

/** Reads the output of a process by lines. */
function linesOf(child: ChildProcess) {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return {
    async find(wanted: (line: string) => boolean): Promise<string> {
      for (;;) {
        const line = text.split('\n').find(wanted);
        if (line !== undefined) return line;
        if (child.exitCode !== null || child.stdout === null)
          throw new Error(`The process has ended:\n${text}`);
        await once(child.stdout, 'data');
      }
    },
  };
}
