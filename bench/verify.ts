/**
 * The proof that variants can be compared: before anything is measured, each answers the same questions. All give the
 * same status and the same bytes; those that claim all layers also send every layer's header, write both log lines
 * under the request's id, refuse a bad parameter, and let exactly as many requests through as their limit says.
 */

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type ServerProcessOptions, startServerProcess } from './server-process.ts';
import type { Variant } from './variants.ts';
import { headersFor, measuredId, personBody, personPath } from './workload.ts';

const requestId = 'bench-verify-0001';

/** Returns a sentence for each thing that the variant does not do; none if it does its whole work. */
export async function verify(variant: Variant, options: ServerProcessOptions): Promise<string[]> {
  const faults = await verifyAnswers(variant, options);
  if (variant.layers) faults.push(...(await verifyLimit(variant, options)));
  return faults.map((fault) => `${variant.name}: ${fault}`);
}

async function verifyAnswers(variant: Variant, options: ServerProcessOptions): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const logPath = join(folder, 'stdout');
  const logFile = openSync(logPath, 'w');
  const server = await startServerProcess(variant, { ...options, logFile }).finally(() => closeSync(logFile));
  const faults: string[] = [];
  const expect = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  try {
    for (const id of [measuredId, 7]) {
      const { status, body, headers } = await ask(variant, server.url, personPath(id));
      expect(status === 200, `person ${id} is answered with ${status}.`);
      expect(body === personBody(id), `person ${id} has the body ${body}`);
      expect(/^application\/json\b/.test(headers.get('content-type') ?? ''), 'the body is not called JSON.');
      if (variant.layers) faults.push(...findMissingHeaders(headers));
    }
    const unknown = await ask(variant, server.url, '/api/v1/nothing/here');
    expect(unknown.status === 404, `an unknown path is answered with ${unknown.status}.`);
    if (variant.bearer) {
      const anonymous = await ask({}, server.url, personPath(measuredId));
      expect(anonymous.status === 401, `without a token the answer is ${anonymous.status}.`);
    }
    if (variant.layers) {
      const bad = await ask(variant, server.url, personPath('x'));
      expect(bad.status === 400 || bad.status === 422, `a bad parameter is answered with ${bad.status}.`);
      faults.push(...(await findMissingLines(logPath)));
    }
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
  return faults;
}

/** What an answer must carry, and how its value must look. */
const expectedHeaders: Readonly<Record<string, RegExp>> = {
  'x-request-id': new RegExp(`^${requestId}$`),
  'x-process-time': /^\d+\.\d+$/,
  'content-security-policy': /default-src/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^(?:DENY|SAMEORIGIN)$/,
  'referrer-policy': /./,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /./,
  'access-control-allow-origin': /^https:\/\/app\.example\.com$/,
  vary: /\borigin\b/i,
};

function findMissingHeaders(headers: Headers): string[] {
  const faults = Object.entries(expectedHeaders)
    .filter(([name, value]) => !value.test(headers.get(name) ?? ''))
    .map(([name]) => `the header ${name} is ${headers.get(name) ?? 'missing'}.`);
  const limited = headers.has('ratelimit') || headers.has('x-ratelimit-remaining');
  return limited ? faults : [...faults, 'no header says how much of the limit is left.'];
}

const logDeadlineMs = 2_000;

/** Waits for the two lines of the first request: servers may gather lines before they write them. */
async function findMissingLines(logPath: string): Promise<string[]> {
  const startedAt = performance.now();
  const path = `"${personPath(measuredId)}"`;
  for (;;) {
    const lines = readFileSync(logPath, 'utf8').split('\n');
    const own = lines.filter((line) => line.includes(`"${requestId}"`));
    const start = own.find((line) => line.includes(path));
    const complete = own.find((line) => line !== start && /"status_?[cC]ode":200\b/.test(line));
    if (start !== undefined && complete !== undefined) return [];
    if (performance.now() - startedAt > logDeadlineMs) {
      return [`the log has no line for the ${start === undefined ? 'start' : 'end'} of a request.`];
    }
    await wait(20);
  }
}

async function verifyLimit(variant: Variant, options: ServerProcessOptions): Promise<string[]> {
  const limit = 5;
  const server = await startServerProcess(variant, { ...options, limit });
  try {
    // The start has taken the first permit.
    const statuses: number[] = [200];
    while (statuses.length < limit + 2)
      statuses.push((await ask(variant, server.url, personPath(measuredId))).status);
    const isExact = statuses.every((status, index) => status === (index < limit ? 200 : 429));
    return isExact ? [] : [`with a limit of ${limit} the answers were ${statuses.join(', ')}.`];
  } finally {
    await server.stop();
  }
}

async function ask(
  variant: Pick<Variant, 'bearer'>,
  url: string,
  path: string,
): Promise<{ status: number; body: string; headers: Headers }> {
  const response = await fetch(`${url}${path}`, {
    headers: { ...headersFor(variant), 'x-request-id': requestId, connection: 'close' },
  });
  return { status: response.status, body: await response.text(), headers: response.headers };
}
