/**
 * `npm run build` makes of the sources what production runs: a program is one file, with its part of zod in it.
 *
 *     node build.mjs                                     the project's programs, into dist/
 *     node build.mjs --into FOLDER --base FOLDER FILE... others, in the same way: those of the benchmark and of the proofs
 *
 * Node 20 resolves, reads and links module by module: some four hundred files take longer than all else that a start
 * does, and each keeps its share of memory (docs/performance.md). Nothing is renamed or shortened for it, and with
 * `--enable-source-maps` a stack trace names the file and line in `src/`. The other packages are loaded as they are
 * installed: pino and postgres are small, and the optional ones may be missing.
 *
 * Types are not looked at here; `npm run build` does that first.
 */

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import preflight from './preflight.cjs';

const root = import.meta.dirname;
const ownPrograms = [
  'main',
  'main-jobs',
  'program/thread-entry',
  'program/isolate-entry',
  'cli/config',
  'cli/migrate',
  'cli/openapi',
  'cli/user',
];

const { values, positionals } = parseArgs({
  options: {
    into: { type: 'string', default: join(root, 'dist') },
    base: { type: 'string', default: join(root, 'src') },
  },
  allowPositionals: true,
});
const files =
  positionals.length > 0 ? positionals : ownPrograms.map((name) => join(root, 'src', `${name}.ts`));

try {
  // Before the build reads them: a change meanwhile makes the result old.
  const digest = preflight.digestSources();
  await build({
    entryPoints: files.map((file) => resolve(file)),
    outbase: resolve(values.base),
    outdir: resolve(values.into),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    alias: { zod: join(root, 'node_modules', 'zod', 'index.js') },
    sourcemap: true,
    sourcesContent: false,
  });
  if (positionals.length === 0) writeFileSync(preflight.digestFile, `${digest}\n`);
} catch {
  // esbuild has printed the error and its place.
  process.exitCode = 1;
}
