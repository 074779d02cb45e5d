/**
 * The release that the program runs: the real folder that holds its files, its version, and how to find the next one.
 *
 *     /srv/app/releases/7        the old release; the program was started in /srv/app/current when it pointed here
 *     /srv/app/releases/8        the new release
 *     /srv/app/current -> 8      switched by the deployment, before SIGHUP
 *
 * Node and the system replace the symbolic link by its target: the working directory of a program that was started in
 * `current` is `releases/7`. So the path by which the program was started is kept, and resolved again at each reload. The
 * path is taken from the command (`node /srv/app/current/dist/main.js`), or else from `PWD`, in which a shell keeps the
 * name of the folder that it was in. A service manager that sets neither hides the link. Then a link beside the release
 * that pointed to it at the start and points elsewhere now is reported (`findMovedLink`).
 */

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import * as z from 'zod';

export interface Release {
  /** The entry file, without symbolic links. */
  readonly entry: string;
  /** The real folder with `package.json`. */
  readonly folder: string;
  /** The version in its `package.json`. */
  readonly version: string;
  /** The working directory of its processes. */
  readonly cwd: string;
}

export interface ReleaseFinder {
  /** The release at the start. */
  readonly first: Release;
  /** Resolves the path of the program now. If the new release cannot be read, returns the one before. */
  find(): Release;
  /** Returns a sentence if a link that pointed to the running release points elsewhere, but is not followed. */
  findMovedLink(): string | undefined;
}

export interface ReleaseFinderOptions {
  /** The path of the entry file, as in `process.argv[1]`. */
  readonly entry: string;
  readonly cwd: string;
  /** The variable `PWD`. */
  readonly pwd: string | undefined;
}

export function createReleaseFinder({ entry, cwd, pwd }: ReleaseFinderOptions): ReleaseFinder {
  const path = findPath({ entry: resolve(cwd, entry), cwd, pwd });
  const first = readRelease(path, cwd) ?? { entry: path, folder: dirname(path), version: 'unknown', cwd };
  const isFollowed = path !== first.entry;
  const links = isFollowed ? [] : findLinksTo(first.folder);
  let last = first;

  return {
    first,
    find() {
      last = readRelease(path, cwd, first) ?? last;
      return last;
    },
    findMovedLink() {
      const moved = links.find((link) => {
        const target = realPath(link);
        return target !== undefined && target !== first.folder;
      });
      if (moved === undefined) return undefined;
      const main = join(moved, relative(first.folder, first.entry));
      return `${moved} points to ${realPath(moved)} now, but the program was started as ${first.entry}, so a reload loads the old release again: restart it as \`node ${main}\`.`;
    },
  };
}

/** Returns the path of the entry file with the symbolic link that leads to it, if the link is known. */
function findPath({ entry, cwd, pwd }: ReleaseFinderOptions): string {
  if (realPath(entry) !== entry || pwd === undefined || !isAbsolute(pwd)) return entry;
  const isBelow = !relative(cwd, entry).startsWith('..');
  return isBelow && pwd !== cwd && realPath(pwd) === realPath(cwd) ? join(pwd, relative(cwd, entry)) : entry;
}

/** A working directory inside of the first release becomes the same directory inside of the release. */
function readRelease(path: string, firstCwd: string, first?: Release): Release | undefined {
  const entry = realPath(path);
  if (entry === undefined) return undefined;
  const folder = findFolder(dirname(entry));
  const inside = first === undefined ? '..' : relative(first.folder, firstCwd);
  const cwd = inside.startsWith('..') || isAbsolute(inside) ? firstCwd : join(folder, inside);
  return { entry, folder, version: readVersion(folder), cwd: existsSync(cwd) ? cwd : folder };
}

/** Returns the nearest folder upwards with `package.json`; the given one if there is none. */
function findFolder(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (dirname(folder) === folder) return start;
  }
}

function readVersion(folder: string): string {
  try {
    const text: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return z.object({ version: z.string() }).parse(text).version;
  } catch {
    return 'unknown';
  }
}

/** Returns the symbolic links to a folder that lie beside it or one level higher, where deployment tools put them. */
function findLinksTo(folder: string): string[] {
  const places = [dirname(folder), dirname(dirname(folder))];
  return places.flatMap((place) => {
    try {
      return readdirSync(place, { withFileTypes: true })
        .filter((each) => each.isSymbolicLink())
        .map(({ name }) => join(place, name))
        .filter((link) => realPath(link) === folder);
    } catch {
      return [];
    }
  });
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
