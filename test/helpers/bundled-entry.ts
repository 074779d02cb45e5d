/** The variable with the URL of the folder into which `test/run.ts` has bundled the entries of threads and processes. */
export const bundlesVariable = 'STRATA_TEST_BUNDLES';

/** Returns the URL of `thread-entry.ts` or `isolate-entry.ts`, bundled into one file if the runner has done so. */
export function bundledEntry(name: 'thread-entry' | 'isolate-entry'): URL {
  const folder = process.env[bundlesVariable];
  return folder === undefined ? new URL(`./${name}.ts`, import.meta.url) : new URL(`${name}.js`, folder);
}
