/**
 * Returns how often a property with an expensive run is tried: `full` times with `STRATA_TEST_RUNS=full`, as in the CI, and a
 * tenth of that otherwise. Each run draws other values, so that many short runs find what a long one finds.
 */
export function propertyRuns(full: number): number {
  return process.env.STRATA_TEST_RUNS === 'full' ? full : Math.ceil(full / 10);
}
