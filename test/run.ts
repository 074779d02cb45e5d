/**
 * `npm test`: the program built, one embedded PostgreSQL for the whole run, a template database with all migrations, and the
 * test files in a few processes (`test/runner/`), with databases made from the template. A run
 * without such files starts neither a build nor a database. Everything is in a temporary folder, also what the tests put into
 * theirs; it is removed at the end, also after Ctrl+C. All TypeScript is compiled once, and not by each process. The folder
 * is in memory where that is large enough: a database is copied for nearly every test, and a disk takes five times as long.
 *
 *     npm test                                  all files
 *     npm test -- --quick                       those that need no database, no browser and no other process
 *     npm test -- test/http users               those whose path contains one of the words
 *     npm test -- --test-name-pattern=proxy     the tests whose name matches the regular expression
 *     npm test -- --verbose test/http           also lists the tests that passed
 *     npm test -- --alone                       each file in a process of its own
 *     npm test -- --seed=7                      in a random order, the same one for the same number
 *     npm test -- --watch test/http             again on every change
 *
 * With `STRATA_TEST_SERVER=postgres://…` in the environment, the run uses that PostgreSQL, as a superuser, and starts none.
 *
 * Files named `*.browser.test.ts` need a browser and are left out, unless the word `browser` asks for them
 * (`npm run prove -- browser`).
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, statfs, symlink } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import postgres from 'postgres';
import { type EmbeddedDatabase, startEmbedded } from '../src/db/embedded/embedded.ts';
import { readPostmasterFile } from '../src/db/embedded/ownership.ts';
import { classifyProcess } from '../src/db/embedded/process.ts';
import { migrateUp } from '../src/db/migrations/migrate.ts';
import { createLogger } from '../src/observability/logger.ts';
import { bundlesVariable } from './helpers/bundled-entry.ts';
import { builtVariable } from './helpers/program.ts';
import { serverVariable, templateVariable } from './helpers/test-database.ts';
import { chooseFiles, orderFiles } from './runner/choose-files.ts';
import { formatSeconds, readDurations, writeDurations } from './runner/durations.ts';
import { processorMs } from './runner/processor-time.ts';
import { createProgress } from './runner/progress.ts';
import { runTestFiles } from './runner/run-test-files.ts';
import { findTestFiles } from './runner/test-files.ts';

const root = join(import.meta.dirname, '..');
const durationsFile = join(root, 'node_modules/.cache/strata/test-durations.json');
/** More than ten times what the slowest file takes on an idle machine. */
const fileTimeoutMs = 300_000;
/** Two more than processors, because many tests wait for a time limit or for another process. */
const processes = availableParallelism() + 2;

const { values: flags, positionals: words } = parseArguments();
const kind = flags.quick ? 'quick' : 'all';
const found = findTestFiles(root);
const durations = readDurations(durationsFile);
const chosen = chooseFiles(found, { root, words, isQuick: flags.quick });
if (chosen.complaints.length > 0) {
  console.error(chosen.complaints.join('\n'));
  process.exit(1);
}
const files = orderFiles(chosen.files, { durations: durations.files, seed: flags.seed });
const isComplete = words.length === 0 && flags['test-name-pattern'].length === 0;
announce();

const folder = await mkdtemp(join(await roomyFolder(), 'strata-tests-'));
// As root, PostgreSQL runs as another user, who must be able to pass.
await chmod(folder, 0o755);
const temporary = join(folder, 'tmp');
await mkdir(temporary);
const compiled = join(folder, 'compiled');
const bundles = join(folder, 'bundles');
// This process stays to clean up: it stops the test processes, and exits when they have exited.
const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort());

/** Only what goes wrong is shown: the runner's own output is what a person reads. */
const log = createLogger({
  level: 'ERROR',
  destination: { write: (line) => void process.stderr.write(line), flush: () => Promise.resolve() },
});
let embedded: EmbeddedDatabase | undefined;
let dropTemplate: (() => Promise<void>) | undefined;
try {
  const needsBuild = !flags.watch && files.some(({ startsProcesses }) => startsProcesses);
  const needsDatabase = flags.watch || files.some((file) => file.needsDatabase);
  const [database] = await Promise.all([
    needsDatabase ? startDatabase() : undefined,
    flags.watch ? undefined : compileSources(),
    flags.watch ? undefined : bundleEntries(),
    needsBuild ? buildPrograms() : undefined,
  ]);
  const env = {
    ...ownEnvironment(),
    TMPDIR: temporary,
    ...database,
    ...(needsBuild ? { [builtVariable]: 'yes' } : {}),
  };
  if (stopped.signal.aborted) process.exitCode = 130;
  else process.exitCode = flags.watch ? await watchTests(env) : await runTests(env);
} finally {
  await dropTemplate?.();
  await embedded?.stop();
  await stopLeftovers(temporary);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
// Now also what PostgreSQL took is known.
if (!flags.watch) console.log(`ℹ processor time ${formatSeconds(processorMs())}`);

function parseArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        alone: { type: 'boolean', default: false },
        watch: { type: 'boolean', default: false },
        seed: { type: 'string' },
        'test-name-pattern': { type: 'string', multiple: true, default: [] },
      },
    });
  } catch (error) {
    console.error(
      `${error instanceof Error ? error.message : error}\nThe options are listed in test/run.ts.`,
    );
    process.exit(1);
  }
}

/** Prints how many files run, and how long that takes. */
function announce(): void {
  const known = (durations.runs[kind] ?? 0) > 0;
  const expected = known
    ? `about ${formatSeconds(durations.runs[kind] ?? 0)}`
    : 'about 5 min on 2 processors';
  const quick = durations.runs.quick === undefined ? '' : `: ${formatSeconds(durations.runs.quick)}`;
  if (!isComplete) console.log(`${files.length} of ${found.length} test files.`);
  else if (flags.quick) console.log(`${files.length} files${known ? `, ${expected}` : ''}.`);
  else console.log(`${files.length} files, ${expected}; npm test -- --quick${quick}.`);
}

/** Linux keeps `/dev/shm` in memory. Containers often have a small one, and other systems none. */
async function roomyFolder(): Promise<string> {
  const inMemory = '/dev/shm';
  const { bavail, bsize } = await statfs(inMemory).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize > 4 * 2 ** 30 ? inMemory : tmpdir();
}

/** Builds `dist/`. `npm run check` has the compiler look at the types. */
async function buildPrograms(): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'build.mjs')], { cwd: root, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('The program does not build.');
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

/**
 * Bundles the entries of test threads and their processes, as `build.mjs` does for the program: a thread starts three times
 * as fast from one file.
 */
async function bundleEntries(): Promise<void> {
  await mkdir(bundles);
  for (const name of ['node_modules', 'package.json', 'sql'])
    await symlink(join(root, name), join(bundles, name));
  await build({
    entryPoints: ['thread-entry', 'isolate-entry'].map((name) => join(root, 'test/helpers', `${name}.ts`)),
    outdir: bundles,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    alias: { zod: join(root, 'node_modules/zod/index.js') },
    sourcemap: true,
    sourcesContent: false,
  });
}

/** Starts PostgreSQL, unless the environment names one, and makes the template database. Returns both as variables. */
async function startDatabase(): Promise<NodeJS.ProcessEnv> {
  const given = process.env[serverVariable];
  if (given === undefined)
    embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
  const url = new URL(given ?? embedded?.url ?? '');
  const server = url.href;
  const admin = postgres(server, { max: 1, onnotice: () => {} });
  const template = `strata_template_${process.pid}`;
  await admin`create database ${admin(template)} template template0`;
  if (given === undefined) {
    // With one iteration instead of 4,096, a connection costs a quarter of the processor time.
    await admin.unsafe(`set scram_iterations = 1; alter role ${url.username} password '${url.password}'`);
    await admin.end();
  } else {
    dropTemplate = async () => {
      await admin`drop database ${admin(template)} with (force)`;
      await admin.end();
    };
  }
  url.pathname = `/${template}`;
  await migrateUp({ url: url.href, log });
  return { [serverVariable]: server, [templateVariable]: template };
}

async function runTests(env: NodeJS.ProcessEnv): Promise<number> {
  const startedAt = performance.now();
  const taken: Record<string, number> = {};
  const expectedMs = isComplete ? durations.runs[kind] : undefined;
  const progress = createProgress(process.stdout, {
    root,
    files: files.length,
    expectedMs,
    isVerbose: flags.verbose,
  });
  const problems = await runTestFiles(
    files.map(({ path, isAlone }) => ({ file: join(root, path), isAlone: flags.alone || isAlone })),
    {
      processes,
      timeoutMs: fileTimeoutMs,
      namePatterns: flags['test-name-pattern'],
      env: {
        ...env,
        STRATA_TEST_COMPILED: pathToFileURL(`${compiled}/`).href,
        [bundlesVariable]: pathToFileURL(`${bundles}/`).href,
      },
      signal: stopped.signal,
      onResult: progress.onResult,
      onFile: (result) => {
        taken[result.file.slice(root.length + 1)] = Math.round(result.ms);
        progress.onFile(result);
      },
    },
  );
  if (stopped.signal.aborted) {
    console.log('\nInterrupted.');
    return 130;
  }
  const hasPassed = progress.finish(problems);
  if (isComplete && flags.seed === undefined && !flags.alone) {
    writeDurations(durationsFile, { files: taken, runs: { [kind]: performance.now() - startedAt } });
  }
  return hasPassed ? 0 : 1;
}

/** While it watches, the sources change after the build, and Node's own runner runs what a change touches. */
async function watchTests(env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', '--test', '--watch', '--test-reporter=spec', `--test-concurrency=${processes}`],
      ...flags['test-name-pattern'].map((pattern) => `--test-name-pattern=${pattern}`),
      ...files.map(({ path }) => path),
    ],
    { cwd: root, stdio: 'inherit', env },
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
