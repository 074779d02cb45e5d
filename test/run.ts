/**
 * `npm test`: the program built, one embedded PostgreSQL for the whole run, a template database with all migrations, and
 * Node's test runner over the files, each in a process of its own with databases made from the template. Everything is in a
 * temporary folder, also what the tests put into theirs; it is removed at the end, also after Ctrl+C. All TypeScript is compiled
 * once, and not by each process. The folder is in
 * memory where that is large enough: a database is copied for nearly every test, and a disk takes five times as long.
 *
 *     npm test                          all files
 *     npm test -- test/http users       those whose path contains one of the words
 *     npm test -- --watch test/http     again on every change
 *
 * Files named `*.browser.test.ts` need a browser and are left out, unless the word `browser` asks for them
 * (`npm run prove -- browser`).
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import postgres from 'postgres';
import { startEmbedded } from '../src/db/embedded/embedded.ts';
import { readPostmasterFile } from '../src/db/embedded/ownership.ts';
import { classifyProcess } from '../src/db/embedded/process.ts';
import { migrateUp } from '../src/db/migrations/migrate.ts';
import { createLogger } from '../src/observability/logger.ts';
import { builtVariable } from './helpers/program.ts';
import { serverVariable, templateName } from './helpers/test-database.ts';

const root = join(import.meta.dirname, '..');
const words = process.argv.slice(2);
const watch = words.includes('--watch');
const wanted = words.filter((word) => !word.startsWith('--')).map((word) => word.replace(/^\.\//, ''));

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((file) => join('test', file))
  .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'))
  .filter((file) => !file.endsWith('.browser.test.ts') || wanted.includes('browser'))
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`No test file has a path with ${wanted.map((word) => `"${word}"`).join(' or ')}.`);
  process.exit(1);
}
if (!watch) {
  const build = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  if (build.status !== 0) process.exit(1);
}

const folder = await mkdtemp(join(await roomyFolder(), 'strata-tests-'));
// As root, PostgreSQL runs as another user, who must be able to pass.
await chmod(folder, 0o755);
const temporary = join(folder, 'tmp');
await mkdir(temporary);
const compiled = join(folder, 'compiled');
// This process stays to clean up: it hands the signal on, and ends when the runner has ended.
const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());

/** Only what goes wrong is shown: the runner's own output is what a person reads. */
const log = createLogger({
  level: 'ERROR',
  destination: { write: (line) => void process.stderr.write(line), flush: () => Promise.resolve() },
});
const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
try {
  if (!watch) await compileSources();
  await makeTemplate(embedded.url);
  process.exitCode = stopped.signal.aborted ? 1 : await runTests(embedded.url);
} finally {
  await embedded.stop();
  await stopLeftovers(temporary);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Linux keeps `/dev/shm` in memory. Containers often have a small one, and other systems none. */
async function roomyFolder(): Promise<string> {
  const inMemory = '/dev/shm';
  const { bavail, bsize } = await statfs(inMemory).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize > 4 * 2 ** 30 ? inMemory : tmpdir();
}

/** Compiles what test processes load; see `compiled-sources.mjs`. */
async function compileSources(): Promise<void> {
  const sources = ['src', 'test', 'bench'].flatMap((part) =>
    readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
      .map((file) => join(root, part, file)),
  );
  await build({
    entryPoints: sources,
    outbase: root,
    outdir: compiled,
    format: 'esm',
    target: 'node20.19',
    sourcemap: 'inline',
    sourcesContent: false,
  });
}

async function makeTemplate(server: string): Promise<void> {
  const admin = postgres(server, { max: 1, onnotice: () => {} });
  await admin`create database ${admin(templateName)}`;
  await admin.end();
  const url = new URL(server);
  url.pathname = `/${templateName}`;
  await migrateUp({ url: url.href, log });
}

async function runTests(server: string): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      ...(watch
        ? ['--import', 'tsx']
        : ['--enable-source-maps', '--import', join(import.meta.dirname, 'compiled-sources.mjs')]),
      '--test',
      '--test-reporter=spec',
      '--test-timeout=300000',
      // One more than processors, because many tests wait for a time limit or for another process.
      `--test-concurrency=${availableParallelism() + 1}`,
      ...(watch ? ['--watch'] : []),
      ...files,
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...ownEnvironment(),
        TMPDIR: temporary,
        [serverVariable]: server,
        // While it watches, the sources change after the build.
        ...(watch
          ? {}
          : { [builtVariable]: 'yes', STRATA_TEST_COMPILED: pathToFileURL(`${compiled}/`).href }),
      },
    },
  );
  stopped.signal.addEventListener('abort', () => child.kill('SIGINT'));
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}

/** The environment without the settings of the shell, which would leak into the servers that tests start. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const aliases = [
    'DATABASE_URL',
    'DATABASE_POOL_SIZE',
    'DATABASE_ECHO',
    'ENVIRONMENT',
    'JWT_SECRET',
    'PORT',
  ];
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(APP|SECURITY)_/.test(name) && !aliases.includes(name)),
  );
}

/** Ends each PostgreSQL that a test had started and was interrupted before it could stop it. */
async function stopLeftovers(path: string): Promise<void> {
  for (const file of await readdir(path, { recursive: true }).catch(() => [])) {
    if (!file.endsWith('postmaster.pid')) continue;
    const cluster = dirname(join(path, file));
    const found = await readPostmasterFile(cluster);
    if (found === undefined || (await classifyProcess(found.pid, cluster)) !== 'ours') continue;
    process.kill(found.pid, 'SIGINT');
    while ((await classifyProcess(found.pid, cluster)) === 'ours') await delay(20);
  }
}
