/**
 * `npm run prove -- partition`: the network between the program and its database silently drops packets.
 *
 *     npm run prove -- partition            cuts of 2, 2, 20 and 20 s
 *     npm run prove -- partition --quick    cuts of 2, 2, 8 and 8 s
 *     npm run prove -- partition --cuts=7,7.5,8
 *
 * Cuts of 7 to 8 s are the hardest ones: connections are given up just before the network is restored.
 *
 * The program runs in a network namespace of its own; a pair of virtual interfaces leads to PostgreSQL outside of it. A
 * cut drops the packets of all present connections permanently, as a firewall that has lost its state does, and those
 * of new connections while it lasts. The proof measures after each cut: the time until requests are answered again, the
 * time until a job that was running runs again, and whether a job ran twice at a time. Finally it sends SIGTERM during
 * one more cut. Needs root, `ip` and `iptables`.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { mustInsertApiKey, mustInsertUser } from '../helpers/test-credentials.ts';
import { testSecret } from '../helpers/test-secret.ts';
import { openProofDatabase } from './jobs/database.ts';
import { addPartitionTask } from './partition-task.ts';
import { makeProgramCopy } from './program-copy.ts';
import { until } from './until.ts';

const longCutMs = process.argv.includes('--quick') ? 8_000 : 20_000;
const chosen = process.argv.find((each) => each.startsWith('--cuts='))?.slice('--cuts='.length);
/** A short cut is over before the program has given up its connections. */
const cutsMs = chosen?.split(',').map((each) => Number(each) * 1000) ?? [2_000, 2_000, longCutMs, longCutMs];
const healMs = 5_000;
const graceSeconds = 2;
const namespace = `strata-proof-${process.pid}`;
const [outside, inside] = [`so${process.pid}`, `si${process.pid}`];
const subnet = `10.213.${process.pid % 250}`;
let failed = false;

const database = await openProofDatabase();
const copy = await makeProgramCopy(addPartitionTask);
const forward = await forwardTo(Number(new URL(database.url).port));
const { headers } = await mustInsertApiKey(database.sql, await mustInsertUser(database.sql));
try {
  openNamespace();
  await prove();
} catch (error) {
  failed = true;
  console.error(error);
} finally {
  closeNamespace();
  forward.close();
  await copy.remove();
  await database.stop();
}
process.exit(failed ? 1 : 0);

async function prove(): Promise<void> {
  await copy.deploy(1);
  await database.sql`
    create table beats (attempt integer not null, at timestamptz not null default clock_timestamp())`;
  const url = new URL(database.url);
  url.host = `${subnet}.1:${forward.port}`;
  const settings = {
    APP_DATABASE_URL: url.href,
    APP_HOST: '0.0.0.0',
    APP_PORT: '8000',
    APP_ALLOWED_HOSTS: '*',
    APP_MANAGEMENT_PORT: 'off',
    APP_TASKS_THREADS: '1',
    APP_DISABLED_LAYERS: 'rate-limit,caller-limit',
    APP_LOG_LEVEL: 'WARNING',
    APP_SHUTDOWN_GRACE_SECONDS: String(graceSeconds),
    SECURITY_JWT_SECRET: testSecret,
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
  };
  const env = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  const entry = `${copy.folder}/dist/program-entry.js`;
  const command = ['netns', 'exec', namespace, 'env', '-i', ...env, process.execPath, entry];
  const child = spawn('ip', command, { cwd: copy.folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-20_000);
  });
  try {
    await until('requests are answered', answers, 30_000);
    await database.sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      values ('endless', 'default', 'available', 100, '{}', 100, 3600000)`;
    for (const [index, cutMs] of cutsMs.entries()) {
      const time = index + 1;
      const before = await attempt();
      await until('the job runs', async () => (await attempt()) >= Math.max(1, before), 30_000);
      const running = await attempt();
      // Requests are in flight on every connection when the packets are dropped.
      const load = setInterval(() => void answers(), 20);
      await delay(500);
      cut();
      await delay(cutMs);
      heal();
      const healedAt = performance.now();
      clearInterval(load);
      await until('requests are answered again', answersAll, 60_000);
      const healedMs = Math.round(performance.now() - healedAt);
      await until('the job runs again', async () => (await attempt()) > running, 60_000);
      const againMs = Math.round(performance.now() - healedAt);
      report(
        `cut ${time} of ${cutMs / 1000} s: every request is answered ${healedMs} ms after the network is restored`,
        healedMs <= healMs,
      );
      report(`cut ${time}: the interrupted job runs again after ${againMs} ms`, againMs <= healMs);
      if (againMs > healMs) console.log(log);
      log = '';
    }
    const overlaps = await findOverlaps();
    report(`no two attempts ran at the same time (${overlaps.length} overlaps)`, overlaps.length === 0);
    for (const overlap of overlaps) console.log(`  ${overlap}`);

    cut();
    await delay(1_000);
    const startedAt = performance.now();
    child.kill('SIGTERM');
    await ended;
    const tookMs = Math.round(performance.now() - startedAt);
    report(`SIGTERM during a cut: exited after ${tookMs} ms`, tookMs <= graceSeconds * 1000 + 1_000);
  } catch (error) {
    console.error(log);
    throw error;
  } finally {
    child.kill('SIGKILL');
  }
}

function report(what: string, holds: boolean): void {
  console.log(`${holds ? 'ok ' : 'FAILED:'} ${what}`);
  if (!holds) failed = true;
}

async function attempt(): Promise<number> {
  const rows = await database.sql<{ attempt: number }[]>`
    select max(attempt)::int as attempt from beats where at > clock_timestamp() - interval '1 second'`;
  return rows[0]?.attempt ?? 0;
}

/** Describes the attempts that wrote a beat after the first beat of a later attempt. */
async function findOverlaps(): Promise<string[]> {
  const rows = await database.sql<{ attempt: number; later: number; beats: number; ms: number }[]>`
    select a.attempt, b.attempt as later, count(distinct a.at)::int as beats,
      (extract(epoch from max(a.at) - min(b.at)) * 1000)::int as ms
    from beats a join beats b on a.attempt < b.attempt and a.at > b.at
    group by a.attempt, b.attempt order by a.attempt, b.attempt`;
  return rows.map(
    ({ attempt, later, beats, ms }) =>
      `attempt ${attempt} wrote ${beats} beats after the first of attempt ${later}, the last one ${ms} ms after it`,
  );
}

/** Whether a request that queries the database is answered with 200 within a second. */
async function answers(): Promise<boolean> {
  try {
    const answer = await fetch(`http://${subnet}.2:8000/api/v1/users/me`, {
      headers,
      signal: AbortSignal.timeout(1_000),
    });
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
}

/** Whether more concurrent requests than there are connections are all answered. */
async function answersAll(): Promise<boolean> {
  return (await Promise.all(Array.from({ length: 12 }, answers))).every((each) => each);
}

function openNamespace(): void {
  ip('netns', 'add', namespace);
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside);
  ip('link', 'set', inside, 'netns', namespace);
  ip('addr', 'add', `${subnet}.1/24`, 'dev', outside);
  ip('link', 'set', outside, 'up');
  ip('-n', namespace, 'addr', 'add', `${subnet}.2/24`, 'dev', inside);
  ip('-n', namespace, 'link', 'set', inside, 'up');
  ip('-n', namespace, 'link', 'set', 'lo', 'up');
}

/** Drops the packets to and from the port of the database. */
function cut(): void {
  for (const port of openPorts()) drop(port);
  iptables('-I', 'OUTPUT', '-p', 'tcp', '--dport', String(forward.port), '-j', 'DROP');
  iptables('-I', 'INPUT', '-p', 'tcp', '--sport', String(forward.port), '-j', 'DROP');
}

/** New connections work again. Packets of connections from before the cut are dropped permanently. */
function heal(): void {
  iptables('-D', 'OUTPUT', '-p', 'tcp', '--dport', String(forward.port), '-j', 'DROP');
  iptables('-D', 'INPUT', '-p', 'tcp', '--sport', String(forward.port), '-j', 'DROP');
}

function drop(port: string): void {
  iptables('-A', 'OUTPUT', '-p', 'tcp', '--sport', port, '--dport', String(forward.port), '-j', 'DROP');
  iptables('-A', 'INPUT', '-p', 'tcp', '--dport', port, '--sport', String(forward.port), '-j', 'DROP');
}

/** The local ports of the program's connections to the database. */
function openPorts(): string[] {
  const text = execFileSync('ip', ['netns', 'exec', namespace, 'cat', '/proc/net/tcp'], { encoding: 'utf8' });
  const remote = `:${forward.port.toString(16).toUpperCase().padStart(4, '0')}`;
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , to = '']) => to.endsWith(remote))
    .map(([, from = '']) => String(Number.parseInt(from.split(':')[1] ?? '', 16)));
}

function closeNamespace(): void {
  for (const args of [
    ['netns', 'pids', namespace],
    ['netns', 'del', namespace],
    ['link', 'del', outside],
  ]) {
    try {
      const text = execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      if (args[1] === 'pids')
        for (const pid of text.split('\n').filter((each) => each !== ''))
          process.kill(Number(pid), 'SIGKILL');
    } catch {
      // The rule does not exist.
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args);
}

/** The rules are in the namespace, so they affect nothing else and disappear with it. */
function iptables(...args: string[]): void {
  execFileSync('ip', ['netns', 'exec', namespace, 'iptables', ...args]);
}

/**
 * The embedded PostgreSQL listens only on the loopback interface. The cut affects the program's connections to this
 * forwarder, and the forwarder gives a dead connection up as PostgreSQL does with `serverKeepAlive`.
 */
async function forwardTo(target: number): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((client) => {
    const upstream = connectTo(target, '127.0.0.1');
    client.setKeepAlive(true, 5_000);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      socket
        .on('error', () => {})
        .on('close', () => {
          client.destroy();
          upstream.destroy();
        });
    }
  });
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The forwarder has no port.');
  return { port: address.port, close: () => server.close() };
}
