/**
 * One snapshot of many: what several processes have counted, added up.
 *
 * Series with the same labels are summed, number by number; that is what counters and histograms mean, and what
 * gauges such as connections in use mean too. Gauges of one process alone carry its name in the label `worker`, so
 * they never meet another. The order of the snapshots makes no difference but to the order of the lines.
 *
 * Sums must not fall when a process ends: whoever merges keeps the `lastingPart` of its last snapshot and merges
 * that too.
 */

import type { MetricFamily, MetricsSnapshot, SeriesSnapshot } from './metrics.ts';

/**
 * Adds up the snapshots. Two versions of the program may run side by side for a moment: a family whose kind, labels or
 * buckets differ from those of the first snapshot that has it is left out, for it cannot be added.
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

/** What stays true of a process after its end: its counters and histograms. What its gauges said is no more. */
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
