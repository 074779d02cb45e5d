/**
 * `npm run prove -- overload`: one process under three times its capacity, and with slow clients.
 *
 *     npm run prove -- overload            the overload three times, and all modes of slowhttptest with 500 connections
 *     npm run prove -- overload --quick    the overload, repeated up to three times until it passes
 *
 * - Overload: the capacity is the best goodput of 16 connections. Then three times as many requests per second arrive, a fifth of
 *   them from signed-in callers, whatever the server does. Of the best goodput at least 80 % must remain; the p99 of admitted
 *   requests must be below 1 s, and that of rejections below 50 ms, each with 503 and `Retry-After`. At half of the capacity
 *   afterwards, no request may be rejected after 5 s, and the p99 must be below 100 ms.
 * - Slow clients: headers, bodies, ranges and reading. Each connection must be closed in time, the p99 of an honest client must be
 *   below 50 ms, and the memory of the process may grow by 50 MB.
 *
 * Where there are two processors, the server and PostgreSQL have one, and the load has the other. Other work on the machine makes the figures worse; the table has
 * the load average for that reason.
 */

import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { pinProcesses } from '../../bench/pinning.ts';
import { insertFeature } from '../helpers/insert-feature.ts';
import { mustCopyProgram, startProgram } from '../helpers/program.ts';
import { openProofDatabase } from './jobs/database.ts';
import { createGenerator, type LoadAnswer, prepareRequest } from './overload/generator.ts';
import { runSlowMode, type SlowMode } from './overload/slow-clients.ts';
import { createProof } from './proof.ts';

const quick = process.argv.includes('--quick');
const attempts = 3;
const seconds = quick ? 5 : 10;
const connections = 400;
const callers = 10;

const { failures, atEnd, run } = createProof();
await run(prove);

async function prove(): Promise<void> {
  const pinning = pinProcesses();
  const folder = await mustCopyProgram(atEnd, async (sources) => {
    const front = await readFile(join(import.meta.dirname, 'soak-feature.mjs'), 'utf8');
    await insertFeature(sources, 'rows', front);
  });
  const database = await openProofDatabase();
  atEnd.after(() => database.stop());
  // With the server, because the load must not slow down a part of it.
  if (pinning !== undefined) pin(database.pid(), pinning.server);
  const { sql } = database;
  await sql`create table rows (id integer primary key, body text not null)`;
  await sql`insert into rows select n, repeat('x', 200) from generate_series(1, 1000) n`;

  const env = {
    APP_ENVIRONMENT: 'staging',
    APP_LOG_LEVEL: 'INFO',
    APP_DISABLED_LAYERS: 'request-log',
    APP_DATABASE_URL: database.url,
    APP_DATABASE_MIGRATE: 'false',
    SECURITY_RATE_LIMIT_ENABLED: 'false',
    SECURITY_ENABLE_DDOS_PROTECTION: 'true',
  };
  const server = startProgram(atEnd, env, [], folder);
  const port = Number(new URL(await server.ready).port);
  const pid = server.process.pid ?? 0;
  if (pinning === undefined)
    console.log('The server shares the processors with the load: there is one, or no taskset.');
  else pin(pid, pinning.server);

  await proveOverload(port);
  if (!quick) await proveSlowClients(port, pid);
}

function pin(pid: number, processor: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(processor), String(pid)]);
}

async function proveOverload(port: number): Promise<void> {
  const tokens = await signIn(port);
  // A rejection costs what Node needs to read a request and to write a response. Only requests that cost at least ten times as
  // much leave enough time for the others at three times the capacity.
  const paths = [...Array.from({ length: 4 }, () => '/api/v1/rows?limit=100'), '/api/v1/rows/7'];
  const requests = Array.from({ length: 20 }, (_, n) =>
    prepareRequest(
      paths[n % paths.length] ?? '',
      n % 5 === 2 ? tokens[Math.floor(n / 5) % callers] : undefined,
    ),
  );
  const generator = createGenerator(port, requests, connections);
  atEnd.after(() => generator.close());
  await generator.closedLoop(16, 4);
  const rows = [];
  let passed = 0;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const best = count(await generator.closedLoop(16, seconds), 200) / seconds;
    const startedAt = performance.now();
    const answers = await generator.openLoop(3 * best, seconds);
    const endedAt = performance.now();
    const after = await generator.openLoop(best / 2, 6);
    const goodput =
      answers.filter(({ status, at }) => status === 200 && at < startedAt + seconds * 1000).length / seconds;
    const rejected = answers.filter(({ status }) => status === 503);
    const admitted = answers.filter(({ status }) => status === 200);
    const normalMs = Math.max(
      0,
      ...after.filter(({ status }) => status !== 200).map(({ at }) => at - endedAt),
    );
    const [kept, admittedP99, rejectedP99] = [goodput / best, p99(admitted), p99(rejected)];
    const share = (isSignedIn: boolean) => {
      const own = answers.filter((each) => each.isSignedIn === isSignedIn);
      return `${Math.round((100 * count(own, 503)) / own.length)} %`;
    };
    const problems = [
      kept < 0.8 && `the goodput is ${percent(kept)} of the best`,
      admittedP99 > 1_000 && `the p99 of admitted requests is ${admittedP99.toFixed(0)} ms`,
      rejectedP99 > 50 && `the p99 of rejections is ${rejectedP99.toFixed(0)} ms`,
      rejected.some(({ hasRetryAfter }) => !hasRetryAfter) && 'a rejection has no Retry-After',
      admitted.length + rejected.length < answers.length &&
        `${answers.length - admitted.length - rejected.length} requests got neither 200 nor 503`,
      p99(after) > 100 && `afterwards the p99 is ${p99(after).toFixed(0)} ms`,
      normalMs > 5_000 && `the last rejection was ${normalMs.toFixed(0)} ms after the overload`,
    ].filter((problem) => problem !== false);
    if (problems.length === 0) passed += 1;
    else console.log(`overload, run ${attempt}: ${problems.join('; ')}.`);
    rows.push({
      'best per s': Math.round(best),
      'sent per s': Math.round(3 * best),
      'goodput per s': Math.round(goodput),
      kept: percent(kept),
      'p50 admitted ms': Math.round(quantile(admitted, 0.5)),
      'p99 admitted ms': Math.round(admittedP99),
      'p99 rejected ms': Math.round(rejectedP99),
      'rejected anonymous': share(false),
      'rejected signed in': share(true),
      'normal after ms': Math.round(normalMs),
      'load average': loadavg()[0]?.toFixed(1),
    });
    if (quick && passed > 0) break;
  }
  console.log('\nThree times the capacity:');
  console.table(rows);
  if (passed === 0) failures.push(`overload: none of ${rows.length} runs reached all of its limits.`);
}

/** Creates users, and resolves with an access token of each. */
async function signIn(port: number): Promise<string[]> {
  const post = async (path: string, body: object) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`POST ${path} is ${response.status}: ${await response.text()}`);
    return z.object({ access_token: z.string().default('') }).parse(await response.json()).access_token;
  };
  const tokens: string[] = [];
  for (let caller = 1; caller <= callers; caller += 1) {
    const [username, password] = [`caller_${caller}`, `a long password of caller ${caller}`];
    await post('/users', { username, email: `${username}@example.com`, password });
    tokens.push(await post('/auth/login', { username, password }));
  }
  return tokens;
}

async function proveSlowClients(port: number, pid: number): Promise<void> {
  const modes: SlowMode[] = [
    {
      name: 'slow headers (-H)',
      flags: ['-H', '-i', '3', '-x', '24'],
      path: '/api/v1/rows',
      closedAfter: 13,
    },
    {
      name: 'slow body (-B)',
      flags: ['-B', '-i', '3', '-s', '8192', '-x', '10', '-f', 'application/json'],
      path: '/api/v1/users',
      // The deadlines of the headers and of the body together.
      closedAfter: 30,
    },
    {
      name: 'ranges (-R)',
      flags: ['-R', '-t', 'HEAD', '-a', '10', '-b', '3000'],
      path: '/openapi.json',
      closedAfter: undefined,
    },
    {
      name: 'slow reading (-X)',
      flags: ['-X', '-w', '512', '-y', '1024', '-n', '5', '-z', '32', '-k', '8'],
      path: '/openapi.json',
      closedAfter: 25,
    },
  ];
  const rows = [];
  for (const mode of modes) {
    const { opened, closedSeconds, honest, p99Ms, failed, grownMb } = await runSlowMode(port, pid, mode, 35);
    const problems = [
      mode.closedAfter !== undefined &&
        closedSeconds > mode.closedAfter &&
        `the last connection was closed after ${closedSeconds.toFixed(1)} s`,
      p99Ms > 50 && `the p99 of the honest client is ${p99Ms.toFixed(0)} ms`,
      failed > 0 && `${failed} requests of the honest client failed`,
      grownMb > 50 && `the memory grew by ${grownMb.toFixed(0)} MB`,
    ].filter((problem) => problem !== false);
    if (problems.length > 0) failures.push(`${mode.name}: ${problems.join('; ')}.`);
    rows.push({
      mode: mode.name,
      'connections at most': opened,
      'closed after s': mode.closedAfter === undefined ? 'at once' : closedSeconds.toFixed(1),
      'honest requests': honest,
      'honest p99 ms': Math.round(p99Ms),
      'memory MB': `+${Math.round(grownMb)}`,
      'load average': loadavg()[0]?.toFixed(1),
    });
  }
  console.log('\nSlow clients, 500 connections:');
  console.table(rows);
}

function count(answers: readonly LoadAnswer[], status: number): number {
  return answers.filter((answer) => answer.status === status).length;
}

function p99(answers: readonly LoadAnswer[]): number {
  return quantile(answers, 0.99);
}

function quantile(answers: readonly LoadAnswer[], part: number): number {
  const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function percent(part: number): string {
  return `${Math.round(100 * part)} %`;
}
