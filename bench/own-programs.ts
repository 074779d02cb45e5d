/**
 * The programs of the benchmark that contain Strata. It is built as production is, by the same `build.mjs`, into `bench/built/`,
 * from where it finds the packages of `bench/node_modules`.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { StartError } from '../src/errors.ts';
import { isOwn, variants } from './variants.ts';

const folder = import.meta.dirname;
const builtFolder = join(folder, 'built');

/** Throws a StartError if one does not build. */
export function buildOwnPrograms(): void {
  rmSync(builtFolder, { recursive: true, force: true });
  const servers = variants.filter(isOwn).map(({ name }) => join('variants', name, 'server.mjs'));
  const benches = ['micro', 'jobs'].flatMap((part) =>
    readdirSync(join(folder, part))
      .map((name) => join(part, name))
      .filter((path) => path.endsWith('.mjs')),
  );
  const files = [...servers, ...benches].map((path) => join(folder, path));
  const args = [join(folder, '..', 'build.mjs'), '--into', builtFolder, '--base', folder, ...files];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new StartError('The programs of the benchmark do not build: see above.');
}

/** The arguments with which Node runs a built source of `bench/`, as `npm start` does. */
export function builtCommand(source: string): readonly [string, string] {
  return ['--enable-source-maps', join(builtFolder, relative(folder, source).replace(/\.mjs$/, '.js'))];
}
