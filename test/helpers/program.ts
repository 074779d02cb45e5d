import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { testSecret } from './test-secret.ts';

const root = join(import.meta.dirname, '..', '..');

export interface Program {
  readonly process: ChildProcess;
  /** The server's address, from the `application.ready` line. Rejects if the program ends before. */
  readonly ready: Promise<string>;
  /** The management port's address, for a test that opens it. Rejects if the program ends before. */
  readonly management: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  stdout(): string;
  stderr(): string;
  /** Resolves when a line of standard output matches. Rejects if the program ends before. */
  logged(pattern: RegExp): Promise<string>;
}

/** The variable by which `test/run.ts` says that it has built `dist/` from the sources as they are. */
export const builtVariable = 'STRATA_TEST_BUILT';

/**
 * Runs the program itself as `npm start` does, built, on a free port, until the test ends; or from the sources in a folder
 * made by `mustCopyProgram`. Without a database and a process for jobs, unless `env` says so.
 */
export function startProgram(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
  folder = root,
): Program {
  const program = folder === root ? ownProgram('main') : [...fromSources, join(folder, 'src', 'main.ts')];
  return start(t, folder, [...program, ...flags], { APP_TASKS_ENABLED: 'false', ...env });
}

/** The same with a limit on the files that each of its processes may open (`ulimit -n`). */
export function startLimitedProgram(
  t: Pick<TestContext, 'after'>,
  files: number,
  env: Readonly<Record<string, string>>,
): Program {
  const limited = ['-c', `ulimit -n ${files} && exec "$0" "$@"`, process.execPath, ...ownProgram('main')];
  return start(t, root, limited, { APP_TASKS_ENABLED: 'false', ...env }, 'sh');
}

/** The same for what `npm run worker` runs. */
export function startWorkerProgram(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>>,
  folder = root,
): Program {
  const program =
    folder === root ? ownProgram('main-jobs') : [...fromSources, join(folder, 'src', 'main-jobs.ts')];
  return start(t, folder, program, env);
}

/** Starts `main` or `main-jobs` with a standard output that nothing reads: the given one, or a socket. */
export function spawnUnread(
  name: string,
  env: Readonly<Record<string, string>>,
  stdout: 'pipe' | number = 'pipe',
): ChildProcess {
  return spawn(process.execPath, ownProgram(name), {
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

const fromSources = ['--import', 'tsx'];

/** What starts a program of the project: three times as fast where it is built, as it runs in production. */
function ownProgram(name: string): string[] {
  if (process.env[builtVariable] !== undefined)
    return ['--enable-source-maps', join(root, 'dist', `${name}.js`)];
  return [...fromSources, join(root, 'src', `${name}.ts`)];
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
  return { process: child, ready, management, ended, stdout: () => stdout, stderr: () => stderr, logged };
}

/** A folder of its own, removed after the test. */
export async function mustMakeFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with a copy of the program, for a test that changes its code or its `.env`; removed after the test. */
export async function mustCopyProgram(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mustMakeFolder(t);
  await copyProgram(folder);
  return folder;
}

/** Copies what the program is made of into a folder, with a link to its packages. */
export async function copyProgram(folder: string): Promise<void> {
  for (const part of ['src', 'sql', 'dashboard', 'package.json']) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
}
