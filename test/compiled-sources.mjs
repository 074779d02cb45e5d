/**
 * Loads TypeScript sources as JavaScript that `test/run.ts` has compiled once for all test processes, which is about twice
 * as fast as compiling in each. The URLs of modules stay those of the sources. A file that was not compiled, because a test
 * has just written it, is compiled here.
 *
 * A test gives its own processes this file with parameters (`helpers/source-arguments.ts`), because they may have another
 * environment and a copy of the sources.
 */

import { register } from 'node:module';

// A thread whose entry is a bundle (`helpers/bundled-entry.ts`) loads no source, and starts faster without the loader.
if (process.argv[1]?.endsWith('-entry.js') !== true) loadSources();

function loadSources() {
  const parameters = new URL(import.meta.url).searchParams;
  register(
    `data:text/javascript,${encodeURIComponent(`
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

let root, compiled;
export function initialize(data) {
  ({ root, compiled } = data);
}
export async function load(url, context, next) {
  if (!url.startsWith('file:') || !/\\.m?ts$/.test(url)) return next(url, context);
  const source = url.startsWith(root)
    ? await readFile(new URL(url.slice(root.length).replace(/ts$/, 'js'), compiled)).catch(() => undefined)
    : undefined;
  return { format: 'module', shortCircuit: true, source: source ?? (await compile(fileURLToPath(new URL(url)))) };
}
async function compile(file) {
  const { transform } = await import(${JSON.stringify(import.meta.resolve('esbuild'))});
  const { code } = await transform(await readFile(file, 'utf8'), { loader: 'ts', format: 'esm', sourcemap: 'inline' });
  return code;
}
`)}`,
    {
      parentURL: import.meta.url,
      data: {
        root: parameters.get('root') ?? new URL('../', import.meta.url).href,
        compiled: parameters.get('compiled') ?? process.env.STRATA_TEST_COMPILED,
      },
    },
  );
}
