/** The speed targets of Strata, and their comparison with a run. */

import { type Figure, figureOf, findCell, ratioOf } from './figures.ts';
import type { CellResult, Results } from './results.ts';
import { principal, type ScenarioName } from './scenarios.ts';
import { doubt, type Summary } from './statistics.ts';
import { floor, ours } from './variants.ts';

interface Target {
  readonly promise: string;
  /** The variant, and what it is asked if that is not the principal scenario. */
  readonly variant: string;
  readonly scenario?: ScenarioName;
  readonly figure: Figure;
  /** The divisor of the figure; absent for an absolute figure. Unnamed parts are the same as above. */
  readonly against?: { readonly variant?: string; readonly scenario?: ScenarioName };
  /** Divide the other way round: how many times more the variant does. */
  readonly inverse?: boolean;
  readonly unit: ' x' | ' ms';
  readonly meets: (value: number) => boolean;
}

const targets: readonly Target[] = [
  atMost(2, 'whole pipeline: at most 2.0 x the processor time of bare node:http', ours, floor),
  moreWork(2.5, 'Fastify with the same layers', 'fastify'),
  moreWork(10, 'Express with the same layers', 'express'),
  moreWork(4, 'Hono with the same layers', 'hono'),
  moreWork(4, 'Nest on Fastify with the same layers', 'nest-fastify'),
  moreWork(4, 'Nest on Express with the same layers', 'nest-express'),
  moreWork(40, 'FastAPI with the same layers', 'fastapi'),
  atMost(1.15, 'routing only: at most 1.15 x the processor time of bare node:http', 'strata-routing', floor),
  {
    promise: 'routing only: not behind Fastify in requests per processor second',
    variant: 'strata-routing',
    figure: 'cpuMicros',
    against: { variant: 'fastify-routing' },
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio >= 1,
  },
  {
    promise: 'an access token on the request: adds at most 15 %',
    variant: ours,
    scenario: 'bearer',
    figure: 'cpuMicros',
    against: { scenario: principal },
    unit: ' x',
    meets: (ratio) => ratio <= 1.15,
  },
  {
    promise:
      'one row from PostgreSQL: ahead of Fastify with the same driver in requests per processor second',
    variant: ours,
    scenario: 'row',
    figure: 'cpuMicros',
    against: { variant: 'fastify' },
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio > 1,
  },
  {
    promise: 'one row from PostgreSQL: at least 5 x the requests per processor second of FastAPI',
    variant: ours,
    scenario: 'row',
    figure: 'cpuMicros',
    against: { variant: 'fastapi' },
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio >= 5,
  },
  {
    promise: 'resident memory under load: at most 1.5 x bare node:http',
    variant: ours,
    figure: 'residentMegabytes',
    against: { variant: floor },
    unit: ' x',
    meets: (ratio) => ratio <= 1.5,
  },
  {
    promise: 'start: under 300 ms to the first answered request',
    variant: ours,
    figure: 'startMs',
    unit: ' ms',
    meets: (milliseconds) => milliseconds < 300,
  },
];

export interface Verdict {
  readonly promise: string;
  /** The measured value with its uncertainty; empty if it was not measured. */
  readonly measured: string;
  readonly verdict: 'met' | 'not met' | 'too uncertain' | 'not measured';
}

/** Holds the results against every target. */
export function judge({ cells }: Pick<Results, 'cells'>): Verdict[] {
  return targets.map((target) => {
    const { promise, unit, meets } = target;
    const summary = measureTarget(target, cells);
    if (summary === undefined) return { promise, measured: '', verdict: 'not measured' };
    const uncertain = doubt(summary);
    const value = unit === ' ms' ? summary.median.toFixed(0) : summary.median.toFixed(2);
    const measured = `${value}${unit}${uncertain === undefined ? '' : ` (${uncertain})`}`;
    if (uncertain !== undefined) return { promise, measured, verdict: 'too uncertain' };
    return { promise, measured, verdict: meets(summary.median) ? 'met' : 'not met' };
  });
}

function measureTarget(target: Target, cells: readonly CellResult[]): Summary | undefined {
  const { variant, scenario = principal, figure, against, inverse } = target;
  const cell = findCell(cells, variant, scenario);
  if (cell === undefined) return undefined;
  if (against === undefined) return figureOf(cell, figure);
  const reference = findCell(cells, against.variant ?? variant, against.scenario ?? scenario);
  if (reference === undefined) return undefined;
  return inverse ? ratioOf(reference, cell, figure) : ratioOf(cell, reference, figure);
}

/** A ceiling on processor time in the principal scenario. */
function atMost(max: number, promise: string, variant: string, against: string): Target {
  return {
    promise,
    variant,
    figure: 'cpuMicros',
    against: { variant: against },
    unit: ' x',
    meets: (ratio) => ratio <= max,
  };
}

/** A lead over a framework in the principal scenario. */
function moreWork(min: number, title: string, against: string): Target {
  return {
    promise: `whole pipeline: at least ${min} x the requests per processor second of ${title}`,
    variant: ours,
    figure: 'cpuMicros',
    against: { variant: against },
    inverse: true,
    unit: ' x',
    meets: (ratio) => ratio >= min,
  };
}
