/**
 * `npm run build` makes of the sources what production runs: a program is one file, with its part of zod in it.
 *
 *     node build.mjs                                     the project's programs, into dist/
 *     node build.mjs --into FOLDER --base FOLDER FILE... others, in the same way: those of the benchmark and of the proofs
 *     node build.mjs --on-request --into FOLDER          builds what its parent process asks for, again and again (npm run dev)
 *
 * Node 20 resolves, reads and links module by module: some four hundred files take longer than all else that a start
 * does, and each keeps its share of memory (docs/performance.md). Nothing is renamed or shortened for it, and with
 * `--enable-source-maps` a stack trace names the file and line in `src/`. The other packages are loaded as they are
 * installed: pino and postgres are small, and the optional ones may be missing.
 *
 * Types are not checked here; `npm run build` does that first.
 */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build, context } from 'esbuild';
import preflight from './preflight.cjs';

const root = import.meta.dirname;
const ownPrograms = [
  'main',
  'main-jobs',
  'program/thread-entry',
  'program/isolate-entry',
  'cli/config',
  'cli/doctor',
  'cli/health',
  'cli/migrate',
  'cli/openapi',
  'cli/user',
];

const { values, positionals } = parseArgs({
  options: {
    into: { type: 'string', default: join(root, 'dist') },
    base: { type: 'string', default: join(root, 'src') },
    'on-request': { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

if (values['on-request']) buildOnRequest();
else await buildOnce();

function optionsFor(files) {
  return {
    entryPoints: files,
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
  };
}

function sourcesOf(names) {
  return names.map((name) => join(root, 'src', `${name}.ts`));
}

async function buildOnce() {
  const isOwn = positionals.length === 0;
  try {
    // Before the build reads them: a change meanwhile makes the result old.
    const digest = isOwn ? preflight.digestSources() : '';
    await build(optionsFor(isOwn ? sourcesOf(ownPrograms) : positionals.map((file) => resolve(file))));
    if (isOwn) writeFileSync(preflight.digestFile, `${digest}\n`);
  } catch {
    // esbuild has printed the error and its place.
    process.exitCode = 1;
  }
}

/**
 * Answers `{ id, names, without }` with `{ id, digest }`: the programs are built, and the digest changes when the code does
 * that they consist of, not counting files whose path matches `without`, and what only those import. The digest is null
 * after an error, which esbuild has printed. A second build of the same programs takes a fraction of the first.
 */
function buildOnRequest() {
  const contexts = new Map();
  process.on('message', async ({ id, names, without }) => {
    const key = names.join();
    try {
      if (!contexts.has(key)) {
        contexts.set(
          key,
          await context({ ...optionsFor(sourcesOf(names)), metafile: true, logLevel: 'warning' }),
        );
      }
      const { metafile } = await contexts.get(key).rebuild();
      process.send({ id, digest: digestInputs(metafile, without) });
    } catch {
      process.send({ id, digest: null });
    }
  });
  // A terminal sends Ctrl+C to the whole group; the parent decides when to stop, and disconnects.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  process.on('disconnect', () => process.exit());
}

function digestInputs({ inputs, outputs }, without) {
  const isLeftOut = without === undefined ? () => false : (path) => new RegExp(without).test(path);
  const found = new Set(Object.values(outputs).flatMap(({ entryPoint }) => entryPoint ?? []));
  // The iteration includes what is added to the set meanwhile.
  for (const path of found) {
    for (const imported of inputs[path]?.imports ?? []) {
      if (!imported.external && !isLeftOut(imported.path)) found.add(imported.path);
    }
  }
  const hash = createHash('sha256');
  for (const path of [...found].filter((each) => !each.includes('node_modules')).sort()) {
    hash.update(path).update(readFileSync(path));
  }
  return hash.digest('hex');
}
