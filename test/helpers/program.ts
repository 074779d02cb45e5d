import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { testSecret } from './test-secret.ts';

const root = join(import.meta.dirname, '..', '..');

export interface Program {
  readonly process: ChildProcess;
  /** The server's address, from the `application.ready` line. Rejects if the program exits before. */
  readonly ready: Promise<string>;
  /** The management port's address, for a test that opens it. Rejects if the program exits before. */
  readonly management: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  stdout(): string;
  stderr(): string;
  /** Resolves when a line of standard output matches. Rejects if the program exits before. */
  logged(pattern: RegExp): Promise<string>;
  /** Forgets the standard output so far, so that `logged` finds only later lines. */
  forget(): void;
}

/** The variable that `test/run.ts` sets when it has built `dist/` from the current sources. */
export const builtVariable = 'STRATA_TEST_BUILT';

/**
 * Runs the program as `npm start` does, on a free port, until the test ends; `folder` is one made by `mustCopyProgram`.
 * Runs without a database and a jobs process, unless `env` sets them.
 */
export function startProgram(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
  folder = root,
): Program {
  return start(t, folder, [...commandOf('main', folder), ...flags], { APP_TASKS_ENABLED: 'false', ...env });
}

/** Runs the program with a module that Node loads before it (`--import`). */
export function startImporting(
  t: Pick<TestContext, 'after'>,
  module: string,
  env: Readonly<Record<string, string>>,
  folder = root,
): Program {
  const program = ['--import', module, ...commandOf('main', folder)];
  return start(t, folder, program, { APP_TASKS_ENABLED: 'false', ...env });
}

/**
 * Runs the program as an operator does who changes into a folder, which may be a symbolic link, and starts `dist/main.js`
 * there. The folder is one made by `mustCopyProgram`.
 */
export function startProgramIn(
  t: Pick<TestContext, 'after'>,
  folder: string,
  env: Readonly<Record<string, string>>,
): Program {
  const script = ['-c', 'cd "$1" && exec "$0" --enable-source-maps dist/main.js', process.execPath, folder];
  return start(t, root, script, { APP_TASKS_ENABLED: 'false', ...env }, 'sh');
}

/** Runs the program with a limit on the files that each of its processes may open (`ulimit -n`). */
export function startLimitedProgram(
  t: Pick<TestContext, 'after'>,
  files: number,
  env: Readonly<Record<string, string>>,
): Program {
  const limited = ['-c', `ulimit -n ${files} && exec "$0" "$@"`, process.execPath, ...commandOf('main')];
  return start(t, root, limited, { APP_TASKS_ENABLED: 'false', ...env }, 'sh');
}

/**
 * Runs the program of a copied folder in a mount namespace of its own, after a shell command that mounts what only this program
 * sees. Needs the rights of root.
 */
export function startMountedProgram(
  t: Pick<TestContext, 'after'>,
  mount: string,
  env: Readonly<Record<string, string>>,
  folder: string,
): Program {
  const script = `${mount} && exec "$0" "$@"`;
  const program = ['--mount', 'sh', '-c', script, process.execPath, ...commandOf('main', folder)];
  return start(t, folder, program, { APP_TASKS_ENABLED: 'false', ...env }, 'unshare');
}

/** Runs what `npm run worker` runs. */
export function startWorkerProgram(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>>,
  folder = root,
): Program {
  return start(t, folder, commandOf('main-jobs', folder), env);
}

/** Starts `main` or `main-jobs` with a standard output that nothing reads: the given one, or a socket. */
export function spawnUnread(
  name: string,
  env: Readonly<Record<string, string>>,
  stdout: 'pipe' | number = 'pipe',
): ChildProcess {
  return spawn(process.execPath, commandOf(name), {
    cwd: root,
    env: { ...environment(), ...env },
    stdio: ['ignore', stdout, 'pipe'],
  });
}

function environment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    APP_PORT: '0',
    APP_MANAGEMENT_PORT: 'off',
    APP_DATABASE_URL: 'none',
    SECURITY_JWT_SECRET: testSecret,
  };
}

/**
 * The arguments for Node that run a program of the project, such as `main` or `cli/user`. A built program starts three
 * times as fast as its sources, and production runs that one.
 */
export function commandOf(name: string, folder = root): string[] {
  if (folder !== root || process.env[builtVariable] !== undefined)
    return ['--enable-source-maps', join(folder, 'dist', `${name}.js`)];
  return ['--import', import.meta.resolve('tsx'), join(root, 'src', `${name}.ts`)];
}

function start(
  t: Pick<TestContext, 'after'>,
  folder: string,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
  command = process.execPath,
): Program {
  const child = spawn(command, program, {
    cwd: folder,
    env: { ...environment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const look of watchers) look();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  const logged = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const line = stdout.split('\n').find((each) => pattern.test(each));
        if (line === undefined) return;
        watchers.delete(look);
        resolve(line);
      };
      watchers.add(look);
      look();
      void ended.then(() =>
        reject(new Error(`The program ended before ${pattern} was logged:\n${stdout}${stderr}`)),
      );
    });
  const ready = logged(/"event":"application.ready"/).then((line) => String(JSON.parse(line).url));
  ready.catch(() => {});
  const management = logged(/"event":"management.ready"/).then((line) => String(JSON.parse(line).url));
  management.catch(() => {});
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  });
  const forget = () => {
    stdout = stdout.slice(stdout.lastIndexOf('\n') + 1);
  };
  return {
    process: child,
    ready,
    management,
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    logged,
    forget,
  };
}

/** Makes a temporary folder, which is removed after the test. */
export async function mustMakeFolder(t: { after(end: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Makes a folder with a built copy of the program, for a test that changes its code or its `.env`. `change` edits the copied
 * sources before the build. The folder is removed after the test.
 */
export async function mustCopyProgram(
  t: Pick<TestContext, 'after'>,
  change?: (sources: string) => Promise<void>,
): Promise<string> {
  const folder = await mustMakeFolder(t);
  if (change === undefined && process.env[builtVariable] !== undefined) {
    await copyParts(folder, ['dist', ...dataParts]);
    return folder;
  }
  await copySources(folder);
  await change?.(join(folder, 'src'));
  await buildProgram(folder, builtPrograms);
  return folder;
}

/** Adds code that a copied program runs when it starts, in the server and in each of its workers. */
export async function addCode(folder: string, code: string): Promise<void> {
  const file = join(folder, 'dist', 'main.js');
  await writeFile(file, `${code}\n${await readFile(file, 'utf8')}`);
}

const dataParts = ['sql', 'dashboard', 'package.json'];
const builtPrograms = ['main.ts', 'main-jobs.ts', 'program/thread-entry.ts', 'program/isolate-entry.ts'];

/** Copies the sources and the data of the program into a folder, with a link to its packages. */
export function copySources(folder: string): Promise<void> {
  return copyParts(folder, ['src', ...dataParts]);
}

async function copyParts(folder: string, parts: readonly string[]): Promise<void> {
  for (const part of parts) await cp(join(root, part), join(folder, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
}

/** Builds programs of a copy, named below its `src`, into its `dist`. Throws an Error with the builder's output if that fails. */
export async function buildProgram(folder: string, programs: readonly string[]): Promise<void> {
  const [sources, dist] = [join(folder, 'src'), join(folder, 'dist')];
  const args = [join(root, 'build.mjs'), '--into', dist, '--base', sources];
  const child = spawn(process.execPath, [...args, ...programs.map((name) => join(sources, name))], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (code !== 0) throw new Error(`The program does not build.\n${output}${errors}`);
}
