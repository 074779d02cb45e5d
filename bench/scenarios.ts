/**
 * The requests of the benchmark. A scenario is one request that each variant which can do it answers with the same
 * status and the same bytes; what such an answer costs is what is measured.
 */

import { authorization } from './bearer.ts';
import { origin } from './workload.ts';

export const scenarioNames = [
  'plain',
  'person',
  'create',
  'bearer',
  'row',
  'list',
  'missing',
  'refused',
] as const;

export type ScenarioName = (typeof scenarioNames)[number];

/** A request that servers are measured with. */
export interface MeasuredRequest {
  readonly name: string;
  readonly title: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
  /** The body of the answer, byte for byte; absent where each framework has its own words. */
  readonly responseBody?: string;
  /** The requirement of the scenario: nothing, the secret that tokens are signed with, or PostgreSQL. */
  readonly needs: 'nothing' | 'bearer' | 'database';
  /** Requests a minute that the server lets one client send, where that is what the scenario is about. */
  readonly limit?: number;
}

export interface Scenario extends MeasuredRequest {
  /** The values of `--scenarios`. */
  readonly name: ScenarioName;
}

/** The scenario of the principal figures, and the request that a start is measured with: every variant can do it. */
export const principal: ScenarioName = 'person';

/** The headers of a page in a browser: enough to make the CORS and compression layers look. */
export const browserHeaders = { accept: 'application/json', 'accept-encoding': 'gzip, br', origin };

const grace = { username: 'grace_hopper', email: 'grace@example.org' };

const byName: Readonly<Record<ScenarioName, Omit<Scenario, 'name'>>> = {
  plain: {
    title: 'a constant object',
    method: 'GET',
    path: '/api/v1/hello',
    headers: browserHeaders,
    status: 200,
    responseBody: '{"message":"Hello, world"}',
    needs: 'nothing',
  },
  person: {
    title: 'a parameter, and an object by its schema',
    method: 'GET',
    path: personPath(42),
    headers: browserHeaders,
    status: 200,
    responseBody: personBody(42),
    needs: 'nothing',
  },
  create: {
    title: 'a JSON body, validated',
    method: 'POST',
    path: '/api/v1/people',
    headers: { ...browserHeaders, 'content-type': 'application/json' },
    body: JSON.stringify(grace),
    status: 201,
    responseBody: personBody(43, grace),
    needs: 'nothing',
  },
  bearer: {
    title: 'an access token, verified',
    method: 'GET',
    path: '/api/v1/me',
    headers: { ...browserHeaders, authorization: authorization() },
    status: 200,
    responseBody: personBody(1),
    needs: 'bearer',
  },
  row: {
    title: 'one row from PostgreSQL',
    method: 'GET',
    path: '/api/v1/rows/42',
    headers: browserHeaders,
    status: 200,
    responseBody: personBody(42),
    needs: 'database',
  },
  list: {
    title: 'twenty rows from PostgreSQL',
    method: 'GET',
    path: '/api/v1/rows',
    // Long enough to compress; no scenario asks for it, because not every variant compresses.
    headers: { ...browserHeaders, 'accept-encoding': 'identity' },
    status: 200,
    responseBody: `{"items":[${Array.from({ length: 20 }, (_, index) => personBody(index + 1)).join(',')}]}`,
    needs: 'database',
  },
  missing: {
    title: 'no such path',
    method: 'GET',
    path: '/api/v1/nothing',
    headers: browserHeaders,
    status: 404,
    needs: 'nothing',
  },
  refused: {
    title: 'the limit is reached',
    method: 'GET',
    path: personPath(42),
    headers: browserHeaders,
    status: 429,
    needs: 'nothing',
    limit: 1,
  },
};

export const scenarios: readonly Scenario[] = scenarioNames.map((name) => ({ name, ...byName[name] }));

export function findScenario(name: ScenarioName): Scenario {
  return { name, ...byName[name] };
}

export function personPath(id: number | string): string {
  return `/api/v1/people/${id}`;
}

/** A person as every variant must write one, byte for byte: this order of keys, no space. */
export function personBody(
  id: number,
  { username, email } = { username: 'ada_lovelace', email: 'ada@example.org' },
): string {
  return JSON.stringify({ id, username, email, created_at: '2026-01-31T12:00:00.000Z' });
}
