/**
 * The proof that variants can be compared: before anything is measured, each is asked everything that it will be measured
 * with. All give the same status and the same bytes, not compressed. Those that claim all layers also
 *
 *   - send every layer's header, on errors too;
 *   - write a line when a request begins and one when it ends, under the request's id;
 *   - refuse bad parameters, bad bodies and tokens that were not signed for them;
 *   - let exactly as many requests through as their limit allows.
 */

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { authorization, lifetimeSeconds } from './bearer.ts';
import { findScenario, personBody, personPath, principal, type Scenario } from './scenarios.ts';
import { type ServerProcessOptions, startServerProcess } from './server-process.ts';
import { needsDatabase, type Variant } from './variants.ts';
import { origin } from './workload.ts';

/** Asks the server one thing and returns what is wrong with the answer. */
type Ask = (
  scenario: Scenario,
  expected?: Expected,
) => Promise<{ readonly errors: readonly string[]; readonly id: string }>;

interface Expected {
  /** The name of the request in error messages. */
  readonly what: string;
  readonly statuses: readonly number[];
}

/** Returns a sentence for each thing that the variant does not do; none if it does its whole work. */
export async function verify(
  variant: Variant,
  scenarios: readonly Scenario[],
  options: ServerProcessOptions,
): Promise<string[]> {
  const usual = scenarios.filter(({ limit }) => limit === undefined);
  const withDatabase = usual.filter((scenario) => needsDatabase({ variant, scenario }));
  const without = usual.filter((scenario) => scenario.name !== principal && !withDatabase.includes(scenario));
  const bareOptions = { ...options, databaseUrl: undefined };

  const errors = await verifyAnswers(variant, [findScenario(principal), ...without], bareOptions);
  if (withDatabase.length > 0) errors.push(...(await verifyAnswers(variant, withDatabase, options)));
  if (variant.layers) errors.push(...(await verifyLimit(variant, bareOptions)));
  return [...new Set(errors)].map((error) => `${variant.name}: ${error}`);
}

async function verifyAnswers(
  variant: Variant,
  scenarios: readonly Scenario[],
  options: ServerProcessOptions,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const logPath = join(folder, 'stdout');
  const logFile = openSync(logPath, 'w');
  const server = await startServerProcess(variant, { ...options, logFile }).finally(() => closeSync(logFile));
  const ask = askAt(server.url, variant);
  const errors: string[] = [];
  try {
    for (const scenario of scenarios) {
      const answer = await ask(scenario);
      errors.push(...answer.errors);
      if (scenario.name === principal) {
        errors.push(...(await ask(otherPerson(scenario))).errors);
        if (variant.layers) errors.push(...(await findMissingLines(logPath, answer.id, scenario.path)));
      }
      if (!variant.layers) continue;
      for (const [bad, expected] of badVersionsOf(scenario))
        errors.push(...(await ask(bad, expected)).errors);
    }
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
  return errors;
}

/** The same request for another person: the response must depend on the parameter. */
function otherPerson(scenario: Scenario): Scenario {
  return { ...scenario, path: personPath(7), responseBody: personBody(7) };
}

/** Questions that must be refused, and how. */
function badVersionsOf(scenario: Scenario): [Scenario, Expected][] {
  const { name, headers } = scenario;
  const { responseBody, ...anyBody } = scenario;
  const invalid = [400, 422];
  const asBody = (body: string): Scenario => ({ ...anyBody, body });
  const asToken = (token: string): Scenario => ({
    ...anyBody,
    headers: { ...headers, authorization: token },
  });
  switch (name) {
    case 'person':
      return [
        [
          { ...anyBody, path: personPath('x') },
          { what: 'a parameter that is no number', statuses: invalid },
        ],
      ];
    case 'create':
      return [
        [asBody('{"username":"grace_hopper"}'), { what: 'a body without the address', statuses: invalid }],
        [
          asBody('{"username":7,"email":"grace@example.org"}'),
          { what: 'a body with a wrong type', statuses: invalid },
        ],
        [
          asBody('{"username":"grace_hopper","email":"nowhere"}'),
          { what: 'a body with a bad address', statuses: invalid },
        ],
        [asBody('{"username":'), { what: 'a body that is no JSON', statuses: invalid }],
      ];
    case 'bearer': {
      const { authorization: _, ...anonymous } = headers;
      const refused = [401];
      return [
        [
          { ...anyBody, headers: anonymous },
          { what: 'a request without a token', statuses: refused },
        ],
        [
          asToken(authorization({ secret: 'f'.repeat(64) })),
          { what: 'a token with a foreign signature', statuses: refused },
        ],
        [
          asToken(authorization({ audience: 'others' })),
          { what: 'a token for another audience', statuses: refused },
        ],
        [
          asToken(authorization({ issuer: 'others' })),
          { what: 'a token of another issuer', statuses: refused },
        ],
        [
          asToken(authorization({ ageSeconds: lifetimeSeconds + 60 })),
          { what: 'a token that has expired', statuses: refused },
        ],
      ];
    }
    default:
      return [];
  }
}

/** The required headers of a response, with the form of their values. */
const expectedHeaders: Readonly<Record<string, RegExp>> = {
  'x-process-time': /^\d+\.\d+$/,
  'content-security-policy': /default-src/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^(?:DENY|SAMEORIGIN)$/,
  'referrer-policy': /./,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /./,
  'access-control-allow-origin': new RegExp(`^${origin.replaceAll('.', '\\.')}$`),
  vary: /\borigin\b/i,
};

const remainingHeader = /^(?:x-)?rate-?limit(?:-remaining)?$/;

/** Each question gets a request id of its own, which the answer must repeat. */
function askAt(url: string, { layers }: Variant): Ask {
  let asked = 0;
  return async (scenario, expected = { what: `"${scenario.name}"`, statuses: [scenario.status] }) => {
    const { method, path, headers, body, responseBody } = scenario;
    const { what, statuses } = expected;
    asked += 1;
    const id = `bench-verify-${asked}`;
    const answered = await fetchWhole(`${url}${path}`, {
      method,
      headers: { ...headers, 'x-request-id': id, connection: 'close' },
      ...(body !== undefined && { body }),
    });
    if (answered === undefined) return { errors: [`${what} is not answered.`], id };
    const { response, text } = answered;
    const errors: string[] = [];
    if (!statuses.includes(response.status)) errors.push(`${what} is answered with ${response.status}.`);
    if (responseBody !== undefined) {
      if (text !== responseBody) errors.push(`${what} is answered with the body ${text}`);
      if (!/^application\/json\b/.test(response.headers.get('content-type') ?? '')) {
        errors.push(`the answer to ${what} is not called JSON.`);
      }
    }
    if (response.headers.has('content-encoding')) errors.push(`the answer to ${what} is compressed.`);
    if (layers) errors.push(...findMissingHeaders(response, what, id));
    return { errors, id };
  };
}

const answerDeadlineMs = 10_000;

/** An answer with its body; undefined where the connection broke before its end, or none came. */
async function fetchWhole(
  url: string,
  request: RequestInit,
): Promise<{ readonly response: Response; readonly text: string } | undefined> {
  try {
    const response = await fetch(url, { ...request, signal: AbortSignal.timeout(answerDeadlineMs) });
    return { response, text: await response.text() };
  } catch {
    return undefined;
  }
}

function findMissingHeaders({ headers, status }: Response, what: string, id: string): string[] {
  const expected = Object.entries({ ...expectedHeaders, 'x-request-id': new RegExp(`^${id}$`) });
  const errors = expected
    .filter(([name, value]) => !value.test(headers.get(name) ?? ''))
    .map(([name]) => `on the answer to ${what}, the header ${name} is ${headers.get(name) ?? 'missing'}.`);
  // Some limiters do not count unmatched paths; those that count must report it.
  if (status < 400 && ![...headers.keys()].some((name) => remainingHeader.test(name))) {
    errors.push(`on the answer to ${what}, no header has the rest of the limit.`);
  }
  if (status === 429 && !headers.has('retry-after')) {
    errors.push(`the answer to ${what} has no Retry-After.`);
  }
  return errors;
}

const logDeadlineMs = 2_000;

/** Waits for the two lines of a request: servers may gather lines before they write them. */
async function findMissingLines(logPath: string, id: string, path: string): Promise<string[]> {
  const startedAt = performance.now();
  for (;;) {
    const own = readFileSync(logPath, 'utf8')
      .split('\n')
      .filter((line) => line.includes(`"${id}"`));
    const complete = own.find((line) => /"status(?:_?code)?":\s?200\b/i.test(line));
    const start = own.find((line) => line !== complete && line.includes(`"${path}"`));
    if (start !== undefined && complete !== undefined) return [];
    if (performance.now() - startedAt > logDeadlineMs) {
      return [`the log has no line for the ${start === undefined ? 'start' : 'end'} of a request.`];
    }
    await wait(20);
  }
}

async function verifyLimit(variant: Variant, options: ServerProcessOptions): Promise<string[]> {
  const limit = 5;
  const scenario = findScenario(principal);
  const rejection = { ...findScenario('refused'), path: scenario.path };
  const server = await startServerProcess(variant, { ...options, limit });
  const ask = askAt(server.url, variant);
  const errors: string[] = [];
  try {
    // The start has taken the first permit.
    for (let number = 2; number <= limit + 2; number += 1) {
      const what = `request ${number} under a limit of ${limit}`;
      const asked = number <= limit ? scenario : rejection;
      errors.push(...(await ask(asked, { what, statuses: [asked.status] })).errors);
    }
  } finally {
    await server.stop();
  }
  return errors;
}
