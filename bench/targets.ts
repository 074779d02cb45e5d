/** What Strata promises about its speed, and what a run says to it. */

import type { Sample } from './measure.ts';
import type { Results, VariantResult } from './results.ts';
import { doubt, type Summary, summarise, summariseRatio } from './statistics.ts';
import { floor } from './variants.ts';

interface Target {
  readonly promise: string;
  readonly variant: string;
  readonly figure: keyof Sample;
  /** The variant whose figure it is divided by; without one it stands for itself. */
  readonly against?: string;
  /** Divide the other way round: how many times more the variant does. */
  readonly inverse?: boolean;
  readonly unit: string;
  readonly meets: (value: number) => boolean;
}

const targets: readonly Target[] = [
  {
    promise: 'whole pipeline: at most 2.0 x the processor time of bare node:http',
    variant: 'strata',
    figure: 'cpuMicros',
    against: floor,
    unit: ' x',
    meets: (ratio) => ratio <= 2,
  },
  {
    promise:
      'whole pipeline: at least 2.5 x the requests per processor second of Fastify with the same layers',
    variant: 'strata',
    figure: 'cpuMicros',
    against: 'fastify',
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio >= 2.5,
  },
  {
    promise: 'routing only: at most 1.15 x the processor time of bare node:http',
    variant: 'strata-routing',
    figure: 'cpuMicros',
    against: floor,
    unit: ' x',
    meets: (ratio) => ratio <= 1.15,
  },
  {
    promise: 'routing only: not behind Fastify in requests per processor second',
    variant: 'strata-routing',
    figure: 'cpuMicros',
    against: 'fastify-routing',
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio >= 1,
  },
  {
    promise:
      'one row from PostgreSQL: ahead of Fastify with the same driver in requests per processor second',
    variant: 'strata-database',
    figure: 'cpuMicros',
    against: 'fastify-database',
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio > 1,
  },
  {
    promise: 'an access token on the request: adds at most 15 %',
    variant: 'strata-bearer',
    figure: 'cpuMicros',
    against: 'strata',
    unit: ' x',
    meets: (ratio) => ratio <= 1.15,
  },
  {
    promise: 'two workers and one limit: at most 1.1 x the processor time of the single process',
    variant: 'strata-cluster',
    figure: 'cpuMicros',
    against: 'strata',
    unit: ' x',
    meets: (ratio) => ratio <= 1.1,
  },
  {
    promise: 'resident memory under load: at most 1.5 x bare node:http',
    variant: 'strata',
    figure: 'residentMegabytes',
    against: floor,
    unit: ' x',
    meets: (ratio) => ratio <= 1.5,
  },
  {
    promise: 'start: under 300 ms to the first answered request',
    variant: 'strata',
    figure: 'startMs',
    unit: ' ms',
    meets: (milliseconds) => milliseconds < 300,
  },
];

export interface Verdict {
  readonly promise: string;
  /** What was measured, with its doubt; empty if it was not. */
  readonly measured: string;
  readonly verdict: 'met' | 'not met' | 'too uncertain' | 'not measured';
}

/** Holds the results against every target. */
export function judge({ variants }: Pick<Results, 'variants'>): Verdict[] {
  return targets.map((target) => {
    const { promise, unit, meets } = target;
    const summary = measureTarget(target, variants);
    if (summary === undefined) return { promise, measured: '', verdict: 'not measured' };
    const uncertain = doubt(summary);
    const value = unit === ' ms' ? summary.median.toFixed(0) : summary.median.toFixed(2);
    const measured = `${value}${unit}${uncertain === undefined ? '' : ` (${uncertain})`}`;
    if (uncertain !== undefined) return { promise, measured, verdict: 'too uncertain' };
    return { promise, measured, verdict: meets(summary.median) ? 'met' : 'not met' };
  });
}

function measureTarget(target: Target, variants: readonly VariantResult[]): Summary | undefined {
  const figuresOf = (name: string | undefined) =>
    variants.find((variant) => variant.name === name)?.samples.map((sample) => sample[target.figure]);
  const figures = figuresOf(target.variant);
  if (target.against === undefined) return figures && summarise(figures);
  const others = figuresOf(target.against);
  if (figures === undefined || others === undefined) return undefined;
  return target.inverse ? summariseRatio(others, figures) : summariseRatio(figures, others);
}
