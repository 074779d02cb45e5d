/**
 * `npm run bench -- rejections` measures what a rejection costs. A client that is rejected most must not cost most, so each kind
 * has a target: its processor time divided by that of the 200 of the same server. Three servers are busy at the same time
 * (`measureTogether`): Strata with the 200, Strata with the rejection, and Fastify with the same rejected request.
 *
 *     rejection   µs   x 200 of the same server   target   |   Fastify   Fastify / Strata
 *
 * The 200 is the principal scenario, and that of a valid token where the rejected request has a token too.
 *
 * Fails if a ratio is above its target by more than the tolerance of the guard, in a way that the rounds agree on.
 */

import { StartError } from '../src/errors.ts';
import { authorization } from './bearer.ts';
import { openBenchDatabase } from './database.ts';
import { decide, type GuardDecision } from './guard-decision.ts';
import { findLoadGenerator } from './load.ts';
import { renderMarkdownTable } from './markdown-table.ts';
import { measureTogether, processorShareOf } from './measure.ts';
import type { Options } from './options.ts';
import { pinProcesses } from './pinning.ts';
import { browserHeaders, findScenario, type MeasuredRequest, personPath } from './scenarios.ts';
import { summarise, summariseRatio } from './statistics.ts';
import { type Cell, needsDatabase, ours, principalCell } from './variants.ts';

export interface Rejection extends MeasuredRequest {
  /** The scenario whose answer is the reference. */
  readonly beside: 'person' | 'bearer';
  /** The highest share of the reference's processor time. */
  readonly target: number;
  /** The status of Fastify, where it differs. */
  readonly fastifyStatus?: number;
}

const jsonHeaders = { ...browserHeaders, 'content-type': 'application/json' };
const me = { method: 'GET', path: '/api/v1/me' } as const;
const people = { method: 'POST', path: '/api/v1/people' } as const;
const common = { beside: 'person', needs: 'nothing' } as const;

/** The kinds of rejections, with their targets. */
export const rejections: readonly Rejection[] = (
  [
    {
      name: 'missing',
      title: 'no such path',
      method: 'GET',
      path: '/api/v1/nothing',
      headers: browserHeaders,
      status: 404,
      target: 1,
    },
    {
      name: 'method',
      title: 'a method that the path does not have',
      method: 'DELETE',
      path: '/api/v1/hello',
      headers: browserHeaders,
      status: 405,
      fastifyStatus: 404,
      target: 1,
    },
    { name: 'anonymous', title: 'no credentials', ...me, headers: browserHeaders, status: 401, target: 1 },
    {
      name: 'malformed-token',
      title: 'a token that is none',
      ...me,
      headers: { ...browserHeaders, authorization: 'Bearer not.a.token' },
      status: 401,
      target: 1.2,
    },
    {
      name: 'foreign-token',
      title: 'a token with a foreign signature',
      ...me,
      headers: { ...browserHeaders, authorization: authorization({ secret: 'f'.repeat(64) }) },
      status: 401,
      target: 1.2,
    },
    {
      name: 'forbidden',
      title: 'a caller without the role',
      method: 'GET',
      path: '/api/v1/admin',
      headers: { ...browserHeaders, authorization: authorization() },
      status: 403,
      beside: 'bearer',
      needs: 'bearer',
      target: 1,
    },
    {
      name: 'too-large',
      title: 'a body over the limit',
      method: 'POST',
      path: '/api/v1/notes',
      headers: jsonHeaders,
      body: JSON.stringify({ username: 'x'.repeat(1500), email: 'grace@example.org' }),
      status: 413,
      target: 1,
    },
    {
      name: 'media-type',
      title: 'a body of another type',
      ...people,
      headers: { ...browserHeaders, 'content-type': 'application/xml' },
      body: '<person/>',
      status: 415,
      target: 1,
    },
    {
      name: 'malformed-json',
      title: 'a body that is no JSON',
      ...people,
      headers: jsonHeaders,
      body: '{"username":',
      status: 400,
      target: 1.5,
    },
    {
      name: 'invalid',
      title: 'a body with three faults',
      ...people,
      headers: jsonHeaders,
      body: '{"username":7,"email":"nowhere","more":true}',
      status: 422,
      fastifyStatus: 400,
      target: 1.5,
    },
    {
      name: 'limited',
      title: 'the limit is reached',
      method: 'GET',
      path: personPath(42),
      headers: browserHeaders,
      status: 429,
      limit: 1,
      target: 0.7,
    },
  ] satisfies (Omit<Rejection, 'beside' | 'needs'> & Partial<Pick<Rejection, 'beside' | 'needs'>>)[]
).map((rejection) => ({ ...common, ...rejection }));

interface Row {
  readonly rejection: Rejection;
  readonly reference: readonly number[];
  readonly own: readonly number[];
  readonly fastify: readonly number[];
  readonly shares: readonly number[];
}

/** Of load before the rounds; three servers share the processor. */
const warmUpSeconds = { usual: 12, quick: 6 };
const seconds = 1;

/** Measures all kinds and prints the table. Throws a StartError for an answer of another status, and for a target that is missed. */
export async function benchRejections(wanted: Options, signal: AbortSignal): Promise<void> {
  const pinning = pinProcesses();
  const load = findLoadGenerator();
  const chosen = rejections.filter(({ name }) => wanted.rejections.includes(name));
  const cellsOf = (rejection: Rejection): Cell<MeasuredRequest>[] => [
    { ...principalCell(ours), scenario: findScenario(rejection.beside) },
    { ...principalCell(ours), scenario: rejection },
    {
      ...principalCell('fastify'),
      scenario: { ...rejection, status: rejection.fastifyStatus ?? rejection.status },
    },
  ];
  const database = chosen.flatMap(cellsOf).some(needsDatabase) ? await openBenchDatabase() : undefined;
  const rows: Row[] = [];
  try {
    for (const rejection of chosen) {
      const rounds = await measureTogether(cellsOf(rejection), wanted.rounds * 2, {
        ...{ pinning, load, signal, seconds, databaseUrl: database?.url },
        warmUpSeconds: wanted.quick ? warmUpSeconds.quick : warmUpSeconds.usual,
      });
      const microsOf = (server: number) => rounds.map((round) => round[server]?.cpuMicros ?? Number.NaN);
      const row: Row = {
        rejection,
        reference: microsOf(0),
        own: microsOf(1),
        fastify: microsOf(2),
        shares: rounds.map(processorShareOf),
      };
      rows.push(row);
      console.error(`bench: ${rejection.name}: ${describeRatio(row)} x its 200`);
    }
  } finally {
    await database?.stop();
  }
  console.log(`\nNode ${process.versions.node}\n\n${renderRejections(rows)}\n`);
  const missed = rows.filter((row) => judge(row) === 'lost').map(({ rejection }) => rejection.name);
  if (missed.length > 0)
    throw new StartError(`These rejections cost more than their targets: ${missed.join(', ')}.`);
}

function ratiosOf({ own, reference }: Row): number[] {
  return own.map((value, round) => value / (reference[round] ?? Number.NaN));
}

function describeRatio(row: Row): string {
  return summarise(ratiosOf(row)).median.toFixed(2);
}

function judge(row: Row): GuardDecision {
  return decide(ratiosOf(row), row.rejection.target, row.shares);
}

function renderRejections(rows: readonly Row[]): string {
  return renderMarkdownTable(
    ['status', 'rejection', 'CPU µs', 'x 200', 'target', '', 'Fastify CPU µs', 'Fastify / Strata'],
    rows.map((row) => [
      String(row.rejection.status),
      row.rejection.title,
      summarise(row.own).median.toFixed(0),
      describeRatio(row),
      row.rejection.target.toFixed(1),
      summarise(ratiosOf(row)).median <= row.rejection.target ? 'met' : `${judge(row)}`,
      summarise(row.fastify).median.toFixed(0),
      summariseRatio(row.fastify, row.own).median.toFixed(2),
    ]),
    2,
  );
}
