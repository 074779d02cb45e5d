import type { MetricsSnapshot } from '../../src/observability/metrics/metrics.ts';

/**
 * Returns the value of a metric in a snapshot, summed over the series with the given labels. Of a histogram it returns the
 * number of observations and their sum.
 */
export function metricValue(
  snapshot: MetricsSnapshot,
  name: string,
  wanted: Readonly<Record<string, string>> = {},
): { readonly count: number; readonly sum: number } {
  const family = snapshot.find((each) => each.name === name);
  if (family === undefined) throw new Error(`There is no metric ${name}.`);
  const { labels, series, bounds } = family;
  const chosen = series.filter(({ values }) =>
    Object.entries(wanted).every(([label, value]) => values[labels.indexOf(label)] === value),
  );
  const add = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  if (family.kind !== 'histogram') {
    const sum = add(chosen.map(({ numbers }) => numbers[0] ?? 0));
    return { count: sum, sum };
  }
  const buckets = bounds.length + 1;
  return {
    count: add(chosen.flatMap(({ numbers }) => numbers.slice(0, buckets))),
    sum: add(chosen.map(({ numbers }) => numbers[buckets] ?? 0)),
  };
}
