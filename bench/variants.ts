/**
 * The list of what is measured. A variant is one folder below `variants/` with a server that has all of its routes,
 * and one entry here.
 */

import {
  findScenario,
  type MeasuredRequest,
  principal,
  type Scenario,
  type ScenarioName,
  scenarioNames,
} from './scenarios.ts';

export interface Variant {
  /** The name of its folder, and what `--only` takes. */
  readonly name: string;
  readonly title: string;
  /** Whether it claims the whole set of layers: then `verify` holds it to them. */
  readonly layers: boolean;
  /** The scenarios that it supports. */
  readonly scenarios: readonly ScenarioName[];
  /** Ours must start; another one may be missing on this machine, and is then listed as not run. */
  readonly ours: boolean;
  /** Whether a token is looked up in the database too, and not only verified. */
  readonly sessions?: boolean;
  /** Processes among which its requests are divided; one if absent. */
  readonly workers?: number;
  /** The program that runs it; Node if absent. */
  readonly runtime?: 'python';
}

/** One measurement: a variant and what it is asked. */
export interface Cell<Request extends MeasuredRequest = Scenario> {
  readonly variant: Variant;
  readonly scenario: Request;
  /** Variables that its server is given beside those that every server is. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The variants that the others are compared with. */
export const floor = 'bare';

/** The variant that the frameworks are compared with. */
export const ours = 'strata';

/** A variant without layers has no limit that it could refuse by. */
const withoutLimit = scenarioNames.filter((name) => name !== 'refused');
const routing: readonly ScenarioName[] = ['plain', 'person', 'missing'];

const framework = { layers: true, scenarios: scenarioNames, ours: false } as const;
const strata = { layers: true, scenarios: scenarioNames, ours: true, sessions: true } as const;

export const variants: readonly Variant[] = [
  { name: floor, title: 'node:http, bare', layers: false, scenarios: withoutLimit, ours: true },
  { name: ours, title: 'Strata, whole', ...strata },
  { name: 'strata-worker', title: 'Strata, one worker and its primary', ...strata },
  { name: 'strata-cluster', title: 'Strata, two workers and their primary', ...strata, workers: 2 },
  {
    name: 'bare-cluster',
    title: 'node:http, bare, two workers',
    layers: false,
    scenarios: withoutLimit,
    ours: true,
    workers: 2,
  },
  {
    name: 'strata-routing',
    title: 'Strata, routing only',
    layers: false,
    scenarios: routing,
    ours: true,
  },
  {
    name: 'fastify-routing',
    title: 'Fastify, routing only',
    layers: false,
    scenarios: routing,
    ours: false,
  },
  { name: 'fastify', title: 'Fastify, same layers', ...framework },
  { name: 'hono', title: 'Hono, same layers', ...framework },
  { name: 'koa', title: 'Koa, same layers', ...framework },
  { name: 'express', title: 'Express, same layers', ...framework },
  { name: 'nest-fastify', title: 'Nest on Fastify, same layers', ...framework },
  { name: 'nest-express', title: 'Nest on Express, same layers', ...framework },
  { name: 'fastapi', title: 'FastAPI on uvicorn, same layers', ...framework, runtime: 'python' },
];

/** The principal request to a variant. Throws an Error for a name that is none. */
export function principalCell(name: string): Cell {
  const variant = variants.find((each) => each.name === name);
  if (variant === undefined) throw new Error(`There is no variant "${name}".`);
  return { variant, scenario: findScenario(principal) };
}

/** Whether Strata is in it: then its server is built as production is. */
export function isOwn({ name }: Variant): boolean {
  return name === ours || name.startsWith(`${ours}-`);
}

export function canDo(variant: Variant, scenario: Scenario): boolean {
  return variant.scenarios.includes(scenario.name);
}

/** Whether the server is given a database: only where the answer wants one, so that the others do not pay for it. */
export function needsDatabase({ variant, scenario }: Cell<MeasuredRequest>): boolean {
  return scenario.needs === 'database' || (scenario.needs === 'bearer' && variant.sessions === true);
}
