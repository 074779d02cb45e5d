/**
 * A copy of the program as it is now, so that a process can be replaced by the same version after a deployment has
 * changed the files. Without it, a worker that dies while a reload tries a broken version, or after such a reload has
 * failed, could only be replaced by the broken version.
 *
 *     the files are as they were ──> the program is started from where it lies, with .env as it is
 *     they have changed ───────────> it is started from the copy, with the copy of .env
 *
 * Kept are the folder of the program (`dist`, or `src`), `sql`, `package.json` and `.env`; `node_modules` is linked, so a
 * deployment that changes packages in place is not covered. Where no copy can be made, such as on a read-only system,
 * processes are started from the files as they are.
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
import { projectRoot } from '../project-root.ts';

/** Where a process finds its program and its settings. */
export interface ProgramPlace {
  readonly entry: string;
  /** The file of settings; undefined for `.env`, should there be one. */
  readonly envFile?: string;
}

export interface KeptProgram {
  /** Where to start the program whose file lay at `entry`. */
  placeOf(entry: string): ProgramPlace;
  /** Removes the copy. Idempotent. Never throws. */
  discard(): void;
}

/** A program larger than this is not copied. */
const maxBytes = 64 * 1024 * 1024;
const envFile = '.env';

/** Keeps the program that has `entry` as one of its files. Never throws. */
export function keepProgram(entry: string): KeptProgram {
  const folder = dirname(entry);
  const before = stateOf(folder);
  const copy = makeCopy(folder, before?.bytes);
  return {
    placeOf(wanted) {
      const name = relative(folder, wanted);
      const isCopied = copy !== undefined && !name.startsWith('..');
      if (!isCopied || stateOf(folder)?.text === before?.text) return { entry: wanted };
      const place = { entry: join(copy, 'program', name), envFile: join(copy, envFile) };
      // Something else may have cleaned the folder of temporary files.
      return existsSync(place.entry) && existsSync(place.envFile) ? place : { entry: wanted };
    },
    discard() {
      if (copy === undefined) return;
      try {
        rmSync(copy, { recursive: true, force: true });
      } catch {
        // It lies in the folder of temporary files.
      }
    },
  };
}

function makeCopy(folder: string, bytes: number | undefined): string | undefined {
  if (bytes === undefined || bytes > maxBytes) return undefined;
  let copy: string | undefined;
  try {
    removeAbandoned();
    copy = mkdtempSync(join(tmpdir(), `strata-program-${process.pid}-`));
    cpSync(folder, join(copy, 'program'), { recursive: true });
    for (const part of ['sql', 'package.json'])
      cpSync(join(projectRoot, part), join(copy, part), { recursive: true });
    const packages = findPackages(projectRoot);
    if (packages !== undefined) symlinkSync(packages, join(copy, 'node_modules'));
    if (existsSync(envFile)) cpSync(envFile, join(copy, envFile));
    else writeFileSync(join(copy, envFile), '');
    return copy;
  } catch {
    if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
    return undefined;
  }
}

/** Removes the copies of processes that were killed before they could do so. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(/^strata-program-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // One that belongs to another user is there too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** The nearest `node_modules` upwards, as Node looks for it. */
function findPackages(start: string): string | undefined {
  const packages = join(start, 'node_modules');
  if (existsSync(packages)) return packages;
  const parent = dirname(start);
  return parent === start ? undefined : findPackages(parent);
}

/** What tells whether a file of the program, or the settings, have changed. Undefined if that cannot be read. */
function stateOf(folder: string): { readonly text: string; readonly bytes: number } | undefined {
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
    const paths = [...files.map((file) => join(folder, file)), ...(existsSync(envFile) ? [envFile] : [])];
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
