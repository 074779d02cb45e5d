/**
 * The files of the embedded database: `cluster`, which is PostgreSQL's, and `password`, which is ours, in one folder.
 *
 * The folder `cluster` exists only when it is complete. `initdb` works in a folder of its own beside it, named after
 * our process, and the result is renamed into place; what a killed process left there is removed by the next. Of
 * two who start at once, both initialise, one rename succeeds, and the other takes what it finds. The password is
 * made before the cluster that is initialised with it, and appears whole or not at all.
 */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chown,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { reasonOf, StartError } from '../../errors.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';

export interface Cluster {
  /** PostgreSQL's data folder. */
  readonly folder: string;
  readonly password: string;
  readonly account: Account | undefined;
}

/** The role, and the database, of the program. */
export const databaseName = 'strata';

/** The data folder of PostgreSQL within the folder that was set for the embedded database. */
export function clusterFolder(dataDir: string): string {
  return join(dataDir, 'cluster');
}

/**
 * How a program whose working directory is the data folder names it. As another user PostgreSQL may not be able to
 * pass the folders above; this link leads it there without passing them.
 */
export function folderArgument({ folder, account }: Pick<Cluster, 'folder' | 'account'>): string {
  return account === undefined ? folder : '/proc/self/cwd';
}

/** What our children see of our environment: nothing secret. English messages, because some are read. */
export const childEnvironment = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC' };

export interface ClusterOptions {
  readonly dataDir: string;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly durable: boolean;
}

/**
 * Returns the cluster in `dataDir`, initialised if there is none. Throws a StartError if the folder cannot be
 * written, or holds the data of another major version.
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { dataDir, account } = options;
  try {
    await mkdir(dataDir, { recursive: true });
    await removeLeftovers(dataDir);
    const version = await readVersion(clusterFolder(dataDir));
    if (version !== undefined && (await readPassword(dataDir)) === undefined) {
      throw new StartError(
        `The file password is missing in ${dataDir}, and the data cannot be opened without it: restore it, or set APP_DATA_DIR to another folder.`,
      );
    }
    const cluster = { folder: clusterFolder(dataDir), password: await ensurePassword(dataDir), account };
    if (version === undefined) await initialise(cluster, options);
    await checkVersion(cluster.folder, options.binaries.majorVersion);
    return cluster;
  } catch (cause) {
    if (cause instanceof StartError || !(cause instanceof Error) || !('code' in cause)) throw cause;
    throw new StartError(
      `The data folder ${dataDir} cannot be used (${cause.code}): make it writable for this user, or set APP_DATA_DIR to another.`,
      { cause },
    );
  }
}

/** The password of the cluster in `dataDir`, or undefined if there is none yet. */
export async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'password'), 'utf8')).trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function ensurePassword(dataDir: string): Promise<string> {
  const known = await readPassword(dataDir);
  if (known !== undefined) return known;
  const unfinished = join(dataDir, `password-${process.pid}-${randomBytes(4).toString('hex')}`);
  const password = randomBytes(32).toString('hex');
  await writeFile(unfinished, `${password}\n`, { mode: 0o600, flag: 'wx' });
  const file = join(dataDir, 'password');
  // A link is made only if the name is free: of two who start at once, one password stands. Not every file system
  // has links; there the last one stands, and whoever initialised with another is told so.
  await link(unfinished, file).catch(async (error) => {
    if (error.code !== 'EEXIST') await copyFile(unfinished, file);
  });
  await rm(unfinished);
  return (await readPassword(dataDir)) ?? password;
}

async function initialise(
  cluster: Cluster,
  { dataDir, binaries, account, durable }: ClusterOptions,
): Promise<void> {
  const unfinished = await mkdtemp(join(dataDir, `initdb-${process.pid}-`));
  try {
    const folder = join(unfinished, 'cluster');
    const passwordFile = join(unfinished, 'password');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(passwordFile, `${cluster.password}\n`, { mode: 0o600 });
    if (account !== undefined) {
      for (const path of [unfinished, folder, passwordFile]) await chown(path, account.uid, account.gid);
    }
    const target = folderArgument({ folder, account });
    await promisify(execFile)(
      binaries.initdb,
      [
        `--pgdata=${target}`,
        `--pwfile=${account === undefined ? passwordFile : `${target}/../password`}`,
        `--username=${databaseName}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--no-instructions',
        ...(durable ? [] : ['--no-sync']),
      ],
      { cwd: folder, env: childEnvironment, ...account },
    ).catch((cause) => {
      const words = wordsOf(cause.stderr) ?? reasonOf(cause);
      throw new StartError(
        `PostgreSQL could not initialise ${dataDir}: ${words}.${adviceOn(words, folder)}`,
        { cause },
      );
    });
    await rename(folder, cluster.folder).catch(async (cause) => {
      if ((await readVersion(cluster.folder)) !== undefined) return;
      throw new StartError(
        `${cluster.folder} exists and is not a data folder of PostgreSQL: move it away, or set APP_DATA_DIR to another folder.`,
        { cause },
      );
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** What a program of PostgreSQL says about its failure: the lines that name it, else the last one. */
function wordsOf(output: unknown): string | undefined {
  const lines = typeof output === 'string' ? output.trim().split('\n') : [];
  return failureLines(lines).join(' ') || lines.at(-1) || undefined;
}

/** The lines that name a failure, and the advice that follows them: others come after, such as that it cleans up. */
export function failureLines(lines: readonly string[]): string[] {
  return lines.filter((line) => /\b(?:FATAL|PANIC|ERROR|HINT|error|hint):/.test(line));
}

/** What to do about a failure whose reason is not in the data; empty for others. */
export function adviceOn(words: string, folder: string): string {
  if (/shared memory segment .*No space left/.test(words)) {
    return ' Give /dev/shm more room; in a container, for example with "docker run --shm-size=256m".';
  }
  if (isEmptyLockFile(words)) {
    return ` Remove the file ${join(folder, 'postmaster.pid')}, unless another PostgreSQL is starting there.`;
  }
  return '';
}

/** Left behind by a loss of power, or about to be written by another PostgreSQL. */
export function isEmptyLockFile(words: string): boolean {
  return /lock file "postmaster.pid" is empty/.test(words);
}

async function readVersion(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

async function checkVersion(folder: string, expected: number): Promise<void> {
  const found = await readVersion(folder);
  if (found === expected) return;
  throw new StartError(
    `${folder} holds the data of PostgreSQL ${found}, and PostgreSQL ${expected} is installed: export the data with the old version, or set APP_DATA_DIR to another folder.`,
  );
}

/** Removes what processes that are no more left unfinished. */
async function removeLeftovers(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = /^(?:initdb|password)-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // The `initdb` of a killed process may still be writing there; then the next start takes the rest.
    await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
