/**
 * A copy of the program as it is now, so that a process can be replaced by the same version after a deployment has
 * changed the files. Without the copy, a worker that dies while a reload tries a broken version, or after such a reload
 * has failed, could only be replaced by the broken version.
 *
 *     files unchanged ──> processes start from the original files, with .env as it is
 *     files changed ────> processes start from the copy, with the copy of .env
 *
 * Copied are the folder of the program (`dist`, or `src`), `sql`, `package.json` and `.env`. `node_modules` is linked, so a
 * deployment that changes packages in place is not covered. Where no copy can be made, as on a read-only system, processes
 * start from the original files.
 */

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { isAlive } from '../db/embedded/process.ts';
import type { Release } from './release.ts';

/** Where a process finds its program and its settings. */
export interface ProgramLocation {
  readonly entry: string;
  /** The file of the settings; undefined for `.env`, if there is one. */
  readonly envFile?: string;
}

export interface ProgramCopy {
  /** Returns where to start the program whose file was at `entry` when the copy was made. */
  locate(entry: string): ProgramLocation;
  /** Removes the copy. Idempotent. Never throws. */
  discard(): void;
}

/** A program larger than this is not copied. */
const maxBytes = 64 * 1024 * 1024;
const envFile = '.env';

/** Copies a release of the program. Never throws. */
export function copyProgram(release: Pick<Release, 'entry' | 'folder' | 'cwd'>): ProgramCopy {
  const folder = dirname(release.entry);
  const settings = join(release.cwd, envFile);
  const before = fingerprint(folder, settings);
  const copy = makeCopy(release, settings, before?.bytes);
  return {
    locate(original) {
      const name = relative(folder, original);
      const isCopied = copy !== undefined && !name.startsWith('..');
      if (!isCopied || fingerprint(folder, settings)?.text === before?.text) return { entry: original };
      const location = { entry: join(copy, 'program', name), envFile: join(copy, envFile) };
      // A cleaner of temporary files may have removed the copy.
      return existsSync(location.entry) && existsSync(location.envFile) ? location : { entry: original };
    },
    discard() {
      if (copy === undefined) return;
      try {
        rmSync(copy, { recursive: true, force: true });
      } catch {
        // It is a temporary folder, which the system may remove later.
      }
    },
  };
}

function makeCopy(
  { entry, folder: root }: Pick<Release, 'entry' | 'folder'>,
  settings: string,
  bytes: number | undefined,
): string | undefined {
  if (bytes === undefined || bytes > maxBytes) return undefined;
  let copy: string | undefined;
  try {
    removeAbandoned();
    copy = mkdtempSync(join(tmpdir(), `strata-program-${process.pid}-`));
    cpSync(dirname(entry), join(copy, 'program'), { recursive: true });
    for (const part of ['sql', 'package.json']) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    const packages = findPackages(root);
    if (packages !== undefined) symlinkSync(packages, join(copy, 'node_modules'));
    if (existsSync(settings)) cpSync(settings, join(copy, envFile));
    else writeFileSync(join(copy, envFile), '');
    return copy;
  } catch {
    if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
    return undefined;
  }
}

/** Removes the copies of processes that were killed before they could remove them. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(/^strata-program-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Returns the nearest `node_modules` upwards, as Node resolves packages. */
function findPackages(start: string): string | undefined {
  const packages = join(start, 'node_modules');
  if (existsSync(packages)) return packages;
  const parent = dirname(start);
  return parent === start ? undefined : findPackages(parent);
}

/** Returns a text that changes when a file of the program or `.env` changes. Undefined if a file cannot be read. */
function fingerprint(
  folder: string,
  settings: string,
): { readonly text: string; readonly bytes: number } | undefined {
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
    const paths = [...files.map((file) => join(folder, file)), ...(existsSync(settings) ? [settings] : [])];
    let bytes = 0;
    const lines = paths.map((path) => {
      const { ino, size, mtimeMs } = statSync(path);
      bytes += size;
      return `${path} ${ino} ${size} ${mtimeMs}`;
    });
    return { text: lines.join('\n'), bytes };
  } catch {
    return undefined;
  }
}
