import { pathToFileURL } from 'node:url';

/** The variable with the URL of the folder into which `test/run.ts` has compiled the sources. */
const compiledVariable = 'STRATA_TEST_COMPILED';

/**
 * Returns the arguments with which Node runs TypeScript sources in a process that a test starts. With the sources that the
 * runner has compiled, it starts in half the time. `copy` is a folder with a copy of the project's sources, unchanged.
 */
export function sourceArguments(copy?: string): string[] {
  const compiled = process.env[compiledVariable];
  if (compiled === undefined) return ['--import', import.meta.resolve('tsx')];
  const loader = new URL('../compiled-sources.mjs', import.meta.url);
  loader.searchParams.set('compiled', compiled);
  if (copy !== undefined) loader.searchParams.set('root', pathToFileURL(`${copy}/`).href);
  // Newer versions of Node warn of `module.register` on standard error, which tests read.
  return ['--disable-warning=DEP0205', '--import', loader.href];
}
