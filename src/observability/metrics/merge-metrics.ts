/**
 * Merges the snapshots of several processes into one.
 *
 * Series with the same labels are summed. That is correct for counters and histograms, and for gauges such as connections in
 * use. A gauge of a single process has its name in the label `worker`, so it is never summed. The order of the snapshots
 * only affects the order of the lines.
 *
 * Sums must not decrease when a process exits, so the caller keeps the `lastingPart` of its last snapshot, and merges that
 * too.
 */

import type { MetricFamily, MetricsSnapshot, SeriesSnapshot } from './metrics.ts';

/**
 * Returns the sum of the snapshots. During a reload two versions of the program run side by side: a family whose kind, labels
 * or buckets differ from those of the first snapshot that has it cannot be summed, and is omitted.
 */
export function mergeSnapshots(snapshots: Iterable<MetricsSnapshot>): MetricsSnapshot {
  const merged = new Map<string, { readonly family: MetricFamily; readonly sums: Map<string, Sum> }>();
  for (const snapshot of snapshots) {
    for (const family of snapshot) {
      const known = merged.get(family.name);
      if (known === undefined) {
        const sums = new Map<string, Sum>();
        merged.set(family.name, { family, sums });
        addTo(sums, family.series);
      } else if (shapeOf(known.family) === shapeOf(family)) {
        addTo(known.sums, family.series);
      }
    }
  }
  return Array.from(merged.values(), ({ family, sums }) => ({ ...family, series: [...sums.values()] }));
}

/** Returns the part of a snapshot that stays valid after the exit of its process: counters and histograms, but no gauges. */
export function lastingPart(snapshot: MetricsSnapshot): MetricsSnapshot {
  return snapshot.filter(({ kind }) => kind !== 'gauge');
}

interface Sum extends SeriesSnapshot {
  readonly numbers: number[];
}

function addTo(sums: Map<string, Sum>, series: readonly SeriesSnapshot[]): void {
  for (const { values, numbers } of series) {
    const key = JSON.stringify(values);
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { values, numbers: [...numbers] });
    else
      numbers.forEach((number, index) => {
        sum.numbers[index] = (sum.numbers[index] ?? 0) + number;
      });
  }
}

function shapeOf({ kind, labels, bounds }: MetricFamily): string {
  return JSON.stringify([kind, labels, bounds]);
}
