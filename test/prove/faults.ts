/**
 * `npm run prove -- faults`: a part fails and comes back, while about 150 requests per second arrive, of which some need the part.
 *
 *     npm run prove -- faults                 all faults, each for 8 s
 *     npm run prove -- faults --quick         four faults, each for 5 s
 *     npm run prove -- faults --only=Redis    the faults whose part or name contains the text
 *
 * With FAULTS_LOG=FILE the output of the program is in that file.
 *
 * The built program runs with two workers, a PostgreSQL, a Redis for its limiter and cache, a service that it calls by a name,
 * and a small disk for files. A feature of the proof has a route for each of them (faults/faults-feature.mjs).
 *
 * For each fault:
 * - Requests that do not need the part all succeed, and their p99 rises by at most `noiseMs`. Every request asks the limiter's
 *   store in Redis, so those at the start of a fault of Redis may also wait for its deadline, `storeDeadlineMs`.
 * - Requests that need it succeed, or get one of the stated statuses, each 503 with `Retry-After`. When the failure is found, their
 *   p95 is at most `noiseMs` above the p99 of the others: a trial of a circuit may take its time. No request takes longer than the stated maximum.
 * - All succeed again, and all circuits are closed, within the stated time.
 * - The alerts of the fault are raised, and resolved afterwards.
 * - Each mail arrives, also those that were posted while the mail server was away.
 * - No process exits, and no error is unhandled.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import * as z from 'zod';
import { insertFeature } from '../helpers/insert-feature.ts';
import {
  mustCopyProgram,
  mustMakeFolder,
  type Program,
  startMountedProgram,
  startProgram,
} from '../helpers/program.ts';
import { startRedis } from '../helpers/redis.ts';
import { type ProofDns, startProofDns } from './faults/dns.ts';
import { type Fault, makeFaults } from './faults/faults.ts';
import { type MixedAnswer, startMixedLoad } from './faults/load.ts';
import { startProofMailServer } from './faults/mail-server.ts';
import { startProofPostgres } from './faults/postgres.ts';
import { startProofService } from './faults/service.ts';
import { createProof } from './proof.ts';
import { nearestRank } from './shared-limits/requests.ts';
import { until } from './until.ts';

const isQuick = process.argv.includes('--quick');
const only = process.argv.find((word) => word.startsWith('--only='))?.slice('--only='.length);
const faultMs = isQuick ? 5_000 : 8_000;
/** Without those that take long. */
const quickFaults = [
  'PostgreSQL stopped',
  'PostgreSQL frozen (SIGSTOP)',
  'Redis frozen (SIGSTOP)',
  'disk full',
];
/** How much higher the p99 may be than around the fault, in milliseconds: other work on the machine makes it vary. */
const noiseMs = 150;
/** Ten times the default, so that a busy machine does not change between the store and the node. */
const storeDeadlineMs = 250;
/** The time around a fault in which the same requests are measured, in milliseconds. */
const aroundMs = 2_000;

/** How long an alert may stay open after the recovery, in milliseconds: its window, and a round of the evaluation. */
const resolvedMs = 15_000;
/** The time without a failure after which all is considered over, in milliseconds. */
const quietMs = 1_500;

const logLine = z.looseObject({ event: z.string() });
const { failures, atEnd, run } = createProof();
await run(prove);

async function prove(): Promise<void> {
  const postgres = await startProofPostgres();
  atEnd.after(postgres.end);
  const redis = await startRedis();
  atEnd.after(redis.stop);
  const service = await startProofService();
  atEnd.after(service.close);
  const mailServer = await startProofMailServer(atEnd);
  const canMount = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
  const dns = canMount ? await startProofDns().catch(() => undefined) : undefined;
  if (dns !== undefined) atEnd.after(dns.stop);
  const smallDisk = canMount ? await mountSmallDisk() : undefined;
  const folder = await mustCopyProgram(atEnd, async (sources) => {
    await insertFeature(
      sources,
      'proof',
      await readFile(join(import.meta.dirname, 'faults/faults-feature.mjs'), 'utf8'),
    );
  });

  const env = {
    APP_WORKERS: '2',
    APP_MANAGEMENT_PORT: '0',
    APP_LOG_LEVEL: 'INFO',
    APP_DISABLED_LAYERS: 'request-log',
    APP_KEEP_ALIVE_SECONDS: '120',
    // Longer than the defaults, so that a busy machine does not look like a Redis that is away.
    APP_CACHE_TIMEOUT_MS: String(storeDeadlineMs),
    SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS: String(storeDeadlineMs),
    APP_DATABASE_URL: postgres.url,
    APP_SMTP_URL: `smtp://127.0.0.1:${mailServer.port}`,
    APP_OUTGOING_ALLOWED_ADDRESSES: '127.0.0.0/8',
    SECURITY_TRUST_PROXY_HEADERS: 'true',
    // Short times, so that alerts are raised and resolved during a short fault.
    SECURITY_ENABLE_ALERTING: 'true',
    SECURITY_ALERT_WINDOW_SECONDS: '3',
    SECURITY_ALERT_CIRCUIT_OPEN_SECONDS: '2',
    SECURITY_ALERT_DATABASE_AWAY_SECONDS: '2',
    SECURITY_ALERT_ERROR_RATE_PERCENT: '2',
    SECURITY_REDIS_ENABLED: 'true',
    SECURITY_REDIS_URL: redis.url,
    PROOF_SERVICE: `http://${dns === undefined ? '127.0.0.1' : 'service.test'}:${service.port}/`,
    APP_DATA_DIR: smallDisk ?? (await mustMakeFolder(atEnd)),
  };
  const program =
    dns === undefined ? startProgram(atEnd, env, [], folder) : await startWithDns(dns, env, folder);
  const { FAULTS_LOG: log } = process.env;
  if (log !== undefined) atEnd.after(() => writeFileSync(log, program.stdout() + program.stderr()));
  const url = await program.ready;
  await postgres.runInDatabase(
    'create table proof_rows (id bigint generated always as identity primary key, body text not null)',
    `insert into proof_rows (body) values ('first')`,
  );
  const load = startMixedLoad(url);
  atEnd.after(load.stop);
  // New processes answer late until the compiler has seen some requests.
  await pause(5_000);

  const rows = [];
  for (const fault of makeFaults({ postgres, redis, service, mailServer, dns, smallDisk })) {
    const name = `${fault.part} ${fault.name}`;
    if (only === undefined ? isQuick && !quickFaults.includes(name) : !name.includes(only)) continue;
    const row = await proveFault(program, load.answers, fault);
    console.log(row);
    rows.push(row);
  }
  await load.stop();
  const posted = load.answers.filter(({ kind, status }) => kind === 'mail' && isSuccess(status)).length;
  const arrive = until('all mails have arrived', () => mailServer.received() >= posted, 30_000);
  await arrive.catch(() =>
    failures.push(`${posted} mails were posted, and ${mailServer.received()} arrived.`),
  );
  console.table(rows);
  const exits = eventsSince(program, 0).filter(({ event }) =>
    /^(application\.failed|process\.(exited|failed|fault))$/.test(event),
  );
  if (exits.length > 0) failures.push(`A process failed: ${JSON.stringify(exits[0])}`);
  if (program.stderr().includes('nhandled')) failures.push(`An error was not handled: ${program.stderr()}`);
}

async function mountSmallDisk(): Promise<string | undefined> {
  const folder = await mustMakeFolder(atEnd);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]).status !== 0) return undefined;
  atEnd.after(() => spawnSync('umount', [folder]));
  return folder;
}

async function startWithDns(
  dns: ProofDns,
  env: Readonly<Record<string, string>>,
  folder: string,
): Promise<Program> {
  const file = join(await mustMakeFolder(atEnd), 'resolv.conf');
  writeFileSync(file, `nameserver ${dns.address}\n`);
  return startMountedProgram(atEnd, `mount --bind '${file}' /etc/resolv.conf`, env, folder);
}

async function proveFault(program: Program, answers: readonly MixedAnswer[], fault: Fault) {
  const what = `${fault.part} ${fault.name}`;
  const logAt = program.stdout().length;
  const startedAt = performance.now();
  await pause(aroundMs);
  const failedAt = performance.now();
  await fault.fail();
  await pause(Math.max(faultMs, fault.lastsMs ?? 0));
  const recoveredAt = performance.now();
  await fault.recover();
  const backAt = performance.now();
  const circuits = (state: 'opened' | 'closed') =>
    eventsSince(program, logAt).filter(
      ({ event, kind }) => event === `circuit.${state}` && fault.circuits.some((each) => each === kind),
    );
  await untilRecovered(answers, backAt, () => circuits('opened').length > circuits('closed').length);
  await pause(aroundMs);

  await untilResolved(program, logAt);
  const alerts = alertsSince(program, logAt);

  const all = answers.filter(({ at }) => at >= startedAt);
  const isNeeding = ({ kind }: MixedAnswer) => fault.needs[kind] !== undefined;
  const needing = all.filter((each) => isNeeding(each) && each.at + each.ms > failedAt);
  const failed = needing.filter(({ status }) => !isSuccess(status));
  const lastFailure = Math.max(
    backAt,
    ...circuits('closed').map(({ timestamp }) => Date.parse(String(timestamp)) - performance.timeOrigin),
    ...failed.map(({ at, ms }) => at + ms),
  );
  const others = all.filter((each) => !isNeeding(each));
  const within = others.filter(({ at }) => at >= failedAt && at < recoveredAt);
  const around = others.filter(({ at }) => at < failedAt || at > lastFailure);
  const found = needing.filter(({ at }) => at >= failedAt + fault.foundMs && at < recoveredAt);
  const recoveryMs = lastFailure - backAt;
  const longest = Math.max(...all.map(({ ms }) => ms));

  const fail = (text: string) => failures.push(`${what}: ${text}`);
  for (const [status, number] of countBy(
    all.filter((each) => !isAllowed(each, fault)),
    describeAnswer,
  )) {
    fail(`${number} answers that are not allowed: ${status}.`);
  }
  if (fault.mustFail && failed.length === 0) fail('no request failed, so the fault had no effect.');
  const [normal, during, atOnce] = [p99(around), p99(within), share(found, 0.95)];
  if (during > normal + noiseMs + (fault.part === 'Redis' ? storeDeadlineMs : 0))
    fail(`the p99 of other requests is ${during} ms, and ${normal} ms around it.`);
  if (atOnce > normal + noiseMs)
    fail(`the p95 of requests that need the part is ${atOnce} ms after ${fault.foundMs} ms.`);
  if (longest > fault.maxMs) fail(`a request took ${Math.round(longest)} ms.`);
  if (recoveryMs > fault.recoveryMs) fail(`it was over ${Math.round(recoveryMs)} ms after the recovery.`);

  for (const rule of fault.alerts) if (!alerts.raised.includes(rule)) fail(`no alert of ${rule} was raised.`);
  if (alerts.open > 0) fail(`${alerts.open} alerts were not resolved.`);
  const events = eventsSince(program, logAt);
  return {
    fault: what,
    needed: needing.length,
    'of these': [...countBy(needing, ({ status }) => `${status}`)]
      .map(([status, n]) => `${n} × ${status}`)
      .join(', '),
    'p95 found': atOnce,
    longest: Math.round(Math.max(...needing.map(({ ms }) => ms))),
    others: within.length,
    failed: within.filter(({ status }) => !isSuccess(status)).length,
    'p99 around': normal,
    'p99 within': during,
    'recovery ms': Math.round(recoveryMs),
    circuits: `${circuits('opened').length} / ${circuits('closed').length}`,
    alerts: alerts.raised.join(', '),
    'log lines': events.length,
  };
}

/** Resolves when no request has failed for a while, and no circuit is open; or after a time that is too long for all faults. */
async function untilRecovered(
  answers: readonly MixedAnswer[],
  backAt: number,
  hasOpenCircuit: () => boolean,
): Promise<void> {
  const hasFailedSince = (time: number) =>
    answers.some(({ at, ms, status }) => at + ms > time && !isSuccess(status));
  while (performance.now() < backAt + 45_000) {
    await pause(100);
    const quietSince = performance.now() - quietMs;
    if (quietSince > backAt && !hasFailedSince(quietSince) && !hasOpenCircuit()) return;
  }
}

async function untilResolved(program: Program, logAt: number): Promise<void> {
  const deadline = performance.now() + resolvedMs;
  while (alertsSince(program, logAt).open > 0 && performance.now() < deadline) await pause(100);
}

function alertsSince(program: Program, logAt: number) {
  const events = eventsSince(program, logAt);
  const raised = events.filter(({ event }) => event === 'alert.raised').map(({ rule }) => String(rule));
  const resolved = events.filter(({ event }) => event === 'alert.resolved');
  return { raised: [...new Set(raised)].sort(), open: raised.length - resolved.length };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function isAllowed({ kind, status, hasRetryAfter }: MixedAnswer, { needs }: Fault): boolean {
  if (isSuccess(status)) return true;
  return needs[kind]?.includes(status) === true && (status !== 503 || hasRetryAfter);
}

function describeAnswer({ kind, status, hasRetryAfter }: MixedAnswer): string {
  const retry = status === 503 && !hasRetryAfter ? ' without Retry-After' : '';
  return `${kind} ${status === 0 ? 'without an answer' : status}${retry}`;
}

function countBy<Value>(values: readonly Value[], nameOf: (value: Value) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(nameOf(value), (counts.get(nameOf(value)) ?? 0) + 1);
  return counts;
}

function p99(answers: readonly MixedAnswer[]): number {
  return share(answers, 0.99);
}

function share(answers: readonly MixedAnswer[], part: number): number {
  const times = answers.map(({ ms }) => ms);
  return Math.round(nearestRank(times, part)) || 0;
}

/** The events of the log from a position. */
function eventsSince(program: Program, position: number) {
  const lines = program.stdout().slice(position).split('\n').slice(0, -1);
  return lines.flatMap((line) => {
    try {
      return [logLine.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}
