/**
 * The files of the embedded database, in one folder: `cluster` belongs to PostgreSQL, and `password` to this program.
 *
 * The folder `cluster` exists only when it is complete. `initdb` works in a separate folder next to it, named after the
 * current process, and the result is renamed into place; the next start removes the folder of a killed process. If two
 * processes start at once, both initialise, one rename succeeds, and the other process uses the existing folder. The
 * password is created before the cluster that is initialised with it, and its file appears complete or not at all.
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
import { reasonOf, StartError, systemErrorCode } from '../../errors.ts';
import type { SystemUser } from './account.ts';
import type { Binaries } from './binaries.ts';
import { isAlive } from './process.ts';

export interface Cluster {
  /** PostgreSQL's data folder. */
  readonly folder: string;
  readonly password: string;
  readonly account: SystemUser | undefined;
}

/** The name of the program's role and of its database. */
export const databaseName = 'strata';

/** Returns the data folder of PostgreSQL inside the folder of the embedded database. */
export function clusterFolder(dataDir: string): string {
  return join(dataDir, 'cluster');
}

/**
 * Returns the data folder as an argument for a program that is started in it. PostgreSQL as another user may have no
 * access to the parent folders; this link leads to the folder without passing through them.
 */
export function folderArgument({ folder, account }: Pick<Cluster, 'folder' | 'account'>): string {
  return account === undefined ? folder : '/proc/self/cwd';
}

/** The environment of child processes: it contains no secret. Messages are in English, because some are parsed. */
export const childEnvironment = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC' };

export interface ClusterOptions {
  readonly dataDir: string;
  readonly binaries: Binaries;
  readonly account: SystemUser | undefined;
  readonly durable: boolean;
}

/**
 * Returns the cluster in `dataDir`, and initialises it first if there is none. Throws a StartError if the folder cannot
 * be written, or contains the data of another major version.
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { dataDir, account } = options;
  try {
    await mkdir(dataDir, { recursive: true });
    await removeLeftovers(dataDir);
    const version = await readVersion(clusterFolder(dataDir));
    if (version !== undefined && (await readDatabasePassword(dataDir)) === undefined) {
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

/** Returns the password of the cluster in `dataDir`, or undefined if there is none yet. */
export async function readDatabasePassword(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'password'), 'utf8')).trim();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function ensurePassword(dataDir: string): Promise<string> {
  const known = await readDatabasePassword(dataDir);
  if (known !== undefined) return known;
  const unfinished = join(dataDir, `password-${process.pid}-${randomBytes(4).toString('hex')}`);
  const password = randomBytes(32).toString('hex');
  await writeFile(unfinished, `${password}\n`, { mode: 0o600, flag: 'wx' });
  const file = join(dataDir, 'password');
  // A link is created only if the name is free, so if two processes start at once, one password wins. Some file systems
  // have no links; there the last password wins, and a process that initialised with another one gets an authentication
  // error.
  await link(unfinished, file).catch(async (error) => {
    if (error.code !== 'EEXIST') await copyFile(unfinished, file);
  });
  await rm(unfinished);
  return (await readDatabasePassword(dataDir)) ?? password;
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
      const message = failureText(cause.stderr) ?? reasonOf(cause);
      throw new StartError(
        `PostgreSQL could not initialise ${dataDir}: ${message}.${adviceFor(message, folder)}`,
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

/** Returns the lines of a program's output that explain its failure, or else the last line. */
function failureText(output: unknown): string | undefined {
  const lines = typeof output === 'string' ? output.trim().split('\n') : [];
  return failureLines(lines).join(' ') || lines.at(-1) || undefined;
}

/** Returns the lines that name a failure, and the hints after them. Later lines report cleanup and the like. */
export function failureLines(lines: readonly string[]): string[] {
  return lines.filter((line) => /\b(?:FATAL|PANIC|ERROR|HINT|error|hint):/.test(line));
}

/** Returns advice for a failure whose cause is outside the data, or an empty text. */
export function adviceFor(message: string, folder: string): string {
  if (/shared memory segment .*No space left/.test(message)) {
    return ' Give /dev/shm more room; in a container, for example with "docker run --shm-size=256m".';
  }
  if (isEmptyLockFile(message)) {
    return ` Remove the file ${join(folder, 'postmaster.pid')}, unless another PostgreSQL is starting there.`;
  }
  return '';
}

/** A lock file is empty after a loss of power, or while another PostgreSQL is about to write it. */
export function isEmptyLockFile(message: string): boolean {
  return /lock file "postmaster.pid" is empty/.test(message);
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

/** Removes unfinished files of processes that no longer exist. */
async function removeLeftovers(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = /^(?:initdb|password)-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // The `initdb` of a killed process may still be writing there. Then the next start removes the rest.
    await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}
