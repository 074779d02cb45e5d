/** Whether a ratio has been held: the guard's judgement, without its measuring. */

import { doubt, quantile, summarise } from './statistics.ts';

/** The share by which a ratio may be above the committed one. */
const tolerance = 0.15;

/** With a smaller share of their processor than this, busy servers shared it with others. */
const minShare = 0.65;

export type GuardDecision = 'held' | 'lost' | 'uncertain';

/** The highest ratio that is no loss. */
export function highestRatio(committed: number): number {
  return committed * (1 + tolerance);
}

/**
 * Judges the ratios of at least one round. Where the rounds agree, or three quarters of them lie on one side of the
 * highest ratio, the median decides. Otherwise they prove nothing; nor do they prove a loss where others took the
 * processor away, for that costs a large program more than a small one. The shares are those of a processor that
 * the busy servers had in each round.
 */
export function decide(
  ratios: readonly number[],
  committed: number,
  shares: readonly number[] = [],
): GuardDecision {
  const sorted = ratios.toSorted((a, b) => a - b);
  const summary = summarise(sorted);
  const highest = highestRatio(committed);
  const held = summary.median <= highest;
  const agreed = doubt(summary) === undefined;
  const oneSided =
    sorted.length > 1 && (held ? quantile(sorted, 0.75) <= highest : quantile(sorted, 0.25) > highest);
  if (!agreed && !oneSided) return 'uncertain';
  if (held) return 'held';
  return shares.length > 0 && summarise(shares).median < minShare ? 'uncertain' : 'lost';
}
