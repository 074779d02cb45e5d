/**
 * `npm run prove -- reload`: clients lose no request while the program is reloaded, resized and stopped under load. A failed
 * request in a row that allows none fails the proof.
 *
 *     npm run prove -- reload            everything, also with nginx in front
 *     npm run prove -- reload --quick    fewer reloads, without nginx
 *
 * The program is a copy of the built one with two workers (program-copy.ts); each reload deploys a new version of it first.
 * Requests have bodies of 16 KB. Three kinds of load (load.ts) run at the same time: on busy connections, on resting ones,
 * which are idle for up to a second between requests, and on new ones.
 */

import { type Load, type LoadReport, sendTogether, startClients } from './load.ts';
import { startNginx } from './nginx.ts';
import { freePort, isTaken } from './ports.ts';
import { makeProgramCopy, type RunningProgram } from './program-copy.ts';
import { until } from './until.ts';

const quick = process.argv.includes('--quick');
const reloads = quick ? 3 : 10;
const minRequests = quick ? 300 : 3000;
/** The default of the program, much longer than the pauses of a client. */
const keepAliveSeconds = 5;
/** Long enough for a busy machine. */
const startTimeoutSeconds = 15;

/** How long a reload may take: for two workers, a start, the canary time, and a drain. */
const reloadMs = 60_000;

let failed = false;
let version = 1;
let program: RunningProgram | undefined;
const copy = await makeProgramCopy();
try {
  await prove();
} catch (error) {
  failed = true;
  console.error(error);
  console.error(program?.recent());
} finally {
  await copy.remove();
}
process.exit(failed ? 1 : 0);

async function prove(): Promise<void> {
  heading();
  await copy.deploy(version);
  program = await start();
  await proveReloads(program, program.url, 'straight');
  if (!quick) await proveReloadsThroughNginx(program);
  await proveResizing(program);
  await proveBrokenVersion(program, 'throws');
  await proveBrokenVersion(program, 'hangs');
  await proveKilledOldWorkers(program);
  await recordKilledWorker(program);
  await proveStop(program);
  program = await start();
  await proveKilledPrimary(program);
}

async function start(): Promise<RunningProgram> {
  return copy.start({
    APP_PORT: String(await freePort()),
    APP_MANAGEMENT_PORT: String(await freePort()),
    APP_WORKERS: '2',
    APP_DATABASE_URL: 'none',
    APP_KEEP_ALIVE_SECONDS: String(keepAliveSeconds),
    APP_SHUTDOWN_GRACE_SECONDS: '20',
    APP_WORKER_START_TIMEOUT_SECONDS: String(startTimeoutSeconds),
    APP_RELOAD_CANARY_SECONDS: '1',
    SECURITY_RATE_LIMIT_PER_MINUTE: '900000',
    SECURITY_RATE_LIMIT_PER_HOUR: '900000',
  });
}

async function proveReloads(program: RunningProgram, url: string, label: string): Promise<void> {
  const loads = await underLoad(url, minRequests, async () => {
    for (let index = 0; index < reloads; index += 1) {
      version += 1;
      await copy.deploy(version);
      const over = () => program.count('reload.completed') + program.count('reload.failed');
      const before = over();
      const startedAt = performance.now();
      program.process.kill('SIGHUP');
      await until('the reload has finished', () => over() > before, reloadMs);
      if (index === 0) note(`a reload took ${Math.round(performance.now() - startedAt)} ms`);
    }
  });
  rows(`${reloads} reloads, ${label}`, loads);
  verdict('each reload was completed', program.count('reload.failed') === 0);
  verdict(`the last version answers, ${label}`, loads.busy.generations.has(version));
}

async function proveReloadsThroughNginx(program: RunningProgram): Promise<void> {
  const nginx = await startNginx(copy.folder, program.url, keepAliveSeconds - 1);
  try {
    await proveReloads(program, nginx.url, 'through nginx');
  } finally {
    await nginx.stop();
  }
}

async function proveResizing(program: RunningProgram): Promise<void> {
  const times = quick ? 2 : 5;
  const loads = await underLoad(program.url, 0, async () => {
    for (let index = 0; index < times; index += 1) {
      const ready = program.count('process.ready');
      program.process.kill('SIGTTIN');
      await until('one more worker is ready', () => program.count('process.ready') > ready, reloadMs);
      const exited = program.count('process.exited');
      program.process.kill('SIGTTOU');
      await until('a worker has exited', () => program.count('process.exited') > exited, reloadMs);
    }
  });
  rows(`one worker more and one fewer, ${times} times`, loads);
}

/** The old workers keep running, and the next working version is loaded. */
async function proveBrokenVersion(program: RunningProgram, how: 'throws' | 'hangs'): Promise<void> {
  await copy.deploy(how);
  const loads = await underLoad(program.url, 0, async () => {
    const refused = program.count('reload.failed');
    program.process.kill('SIGHUP');
    await until('the reload has failed', () => program.count('reload.failed') > refused, reloadMs);
  });
  rows(`a new version that ${how}`, loads);
  const { generations, pids } = loads.busy;
  verdict(
    `the old workers keep running: ${[...pids].join(', ')}`,
    [...generations].join() === String(version) && pids.size === 2,
  );
  await copy.deploy(version);
}

/**
 * All old workers are killed, one after the other, while the reload waits for a new version that hangs. Each is replaced
 * by the old version, whose files the deployment has overwritten.
 */
async function proveKilledOldWorkers(program: RunningProgram): Promise<void> {
  await copy.deploy('hangs');
  const loads = await underLoad(program.url, 0, async ({ busy }) => {
    await until('both workers have answered', () => busy.report.pids.size === 2, 10_000);
    const old = [...busy.report.pids];
    const [started, refused] = [program.count('reload.started'), program.count('reload.failed')];
    program.process.kill('SIGHUP');
    await until('the reload has started', () => program.count('reload.started') > started, 10_000);
    for (const pid of old) {
      const ready = program.count('process.ready');
      process.kill(pid, 'SIGKILL');
      await until(
        'the worker is replaced',
        () => program.count('process.ready') > ready,
        startTimeoutSeconds * 1000,
      );
    }
    verdict(
      'old workers killed during a reload are replaced before it finishes',
      program.count('reload.failed') === refused,
    );
    await until('the reload has failed', () => program.count('reload.failed') > refused, reloadMs);
  });
  rows('all old workers killed in a reload', loads, 'may fail');
  reportHangs(loads);
  const { generations } = loads.busy;
  verdict('their successors run the old version', [...generations].join() === String(version));
  await copy.deploy(version);
}

/** Informative: a killed process loses only its own requests. */
async function recordKilledWorker(program: RunningProgram): Promise<void> {
  const loads = await underLoad(program.url, 0, async ({ busy }) => {
    await until('a worker has answered', () => busy.report.pids.size > 0, 10_000);
    const ready = program.count('process.ready');
    const [pid] = busy.report.pids;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await until('the worker is replaced', () => program.count('process.ready') > ready, 30_000);
  });
  rows('a worker killed (informative)', loads, 'may fail');
  reportHangs(loads);
}

async function proveStop(program: RunningProgram): Promise<void> {
  const number = 200;
  const startedBefore = program.count('http.request.start');
  const sent = sendTogether(program.url, number, 3000);
  const isInFlight = () => program.count('http.request.start') - startedBefore === number * 1.5;
  await until(`${number} requests are in progress`, isInFlight, 10_000);
  program.process.kill('SIGTERM');
  row(`SIGTERM, ${number} requests in progress`, await sent);
  const { code } = await program.ended;
  verdict(`the exit code is ${code}`, code === 0);
}

async function proveKilledPrimary(program: RunningProgram): Promise<void> {
  const { pids } = await underLoad(program.url, 100, async () => {}).then(({ busy }) => busy);
  const held = startClients({ url: program.url, clients: 4, keepAlive: true, maxPauseMs: 20 });
  await until('connections are open', () => held.report.requests > 20, 10_000);
  const startedAt = performance.now();
  program.process.kill('SIGKILL');
  // The workers share its output, so the output is closed when the last of them exits.
  let ended = false;
  void program.ended.then(() => {
    ended = true;
  });
  const isOver = async () => ended && !(await isTaken(Number(new URL(program.url).port)));
  await until('the workers have exited, and the port is free', isOver, 30_000);
  const tookMs = Math.round(performance.now() - startedAt);
  await held.stop();
  verdict(
    `primary killed: ${pids.size} workers exited and the port free after ${tookMs} ms`,
    tookMs < 5000 && pids.size === 2,
  );
}

interface Loads<T> {
  readonly busy: T;
  readonly resting: T;
  readonly fresh: T;
}

/** Runs `act` under load, until it resolves and busy and new connections have sent `minRequests` each. */
async function underLoad(
  url: string,
  minRequests: number,
  act: (loads: Loads<Load>) => Promise<void>,
): Promise<Loads<LoadReport>> {
  const busy = startClients({ url, clients: 6, keepAlive: true, maxPauseMs: 20 });
  const resting = startClients({ url, clients: 20, keepAlive: true, maxPauseMs: 1000 });
  const fresh = startClients({ url, clients: 6, keepAlive: false, maxPauseMs: 20 });
  try {
    await act({ busy, resting, fresh });
    const isEnough = () => Math.min(busy.report.requests, fresh.report.requests) >= minRequests;
    await until(`${minRequests} requests have been sent`, isEnough, 120_000);
  } finally {
    await Promise.all([busy.stop(), resting.stop(), fresh.stop()]);
  }
  return { busy: busy.report, resting: resting.report, fresh: fresh.report };
}

/** Each connection of a killed worker is answered by another, or reset. */
function reportHangs(loads: Loads<LoadReport>): void {
  const kinds = Object.values(loads).flatMap(({ failures }) => [...failures.keys()]);
  verdict('each of its connections was answered or reset', !kinds.some((kind) => kind.includes('no answer')));
}

function heading(): void {
  line('', 'requests', 'failures');
}

function rows(what: string, { busy, resting, fresh }: Loads<LoadReport>, rule?: 'may fail'): void {
  row(`${what}: busy connections`, busy, rule);
  row(`${' '.repeat(what.length)}  resting connections`, resting, rule);
  row(`${' '.repeat(what.length)}  new connections`, fresh, rule);
}

function row(what: string, { requests, failures }: LoadReport, rule?: 'may fail'): void {
  const kinds = [...failures].map(([kind, number]) => `${number} ${kind}`).join(', ');
  if (failures.size > 0 && rule === undefined) failed = true;
  line(what, requests.toLocaleString('en'), kinds === '' ? '0' : kinds);
}

function verdict(what: string, holds: boolean): void {
  if (!holds) failed = true;
  line(what, '', holds ? 'yes' : 'NO');
}

function note(text: string): void {
  line(text, '', '');
}

function line(what: string, requests: string, result: string): void {
  console.log(`${what.padEnd(66)}${requests.padStart(9)}  ${result}`.trimEnd());
}
