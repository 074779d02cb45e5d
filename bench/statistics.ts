/** Statistics over several rounds. */

export interface Summary {
  readonly median: number;
  /**
   * The range of the middle half of the values, as a share of the median: 0.2 is 20 %. Undefined for a single value,
   * which does not show how much the next round would differ.
   */
  readonly spread: number | undefined;
}

/** Summarises at least one value. */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  const range = quantile(sorted, 0.75) - quantile(sorted, 0.25);
  return { median, spread: sorted.length < 2 ? undefined : range / median };
}

/**
 * The ratio of two variants, round by round: rounds that lie beside each other in time have seen the same machine, so
 * what slows both down cancels out.
 */
export function summariseRatio(values: readonly number[], references: readonly number[]): Summary {
  return summarise(values.map((value, round) => value / (references[round] ?? Number.NaN)));
}

/** A ratio whose spread is above this is not a finding. */
const maxSpread = 0.2;

/** Why a figure must not be quoted; undefined if it may be. */
export function doubt({ spread }: Summary): string | undefined {
  if (spread === undefined) return 'one round';
  return spread > maxSpread ? `spread ${Math.ceil(spread * 100)} %` : undefined;
}

/** The value below which the share of the sorted values lies, by linear interpolation between the neighbours. */
export function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
