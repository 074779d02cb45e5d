/**
 * `npm run prove -- soak`: the memory of each process levels off under steady load.
 *
 *     npm run prove -- soak                 thirty minutes at half load
 *     npm run prove -- soak --minutes 10    shorter; below ten minutes a warm-up can look like a leak
 *     npm run prove -- soak --rate 300      300 requests per second instead of half of the maximum
 *
 * The built program runs with two workers, its process for jobs and a database. The proof first measures how many
 * requests per second the program can answer, then sends half of that: pages and single rows from the database, rejections,
 * and one request in ten on a new connection. The rows and a task that counts them belong to a feature of the proof
 * (soak-feature.mjs). Beside the requests, 20 jobs per second are enqueued. Every ten seconds each process collects its garbage
 * and records its memory (measure-on-signal.mjs), so only memory that is still referenced counts.
 *
 * With SOAK_SNAPSHOTS=FOLDER each process writes three heap snapshots, which show the objects that grow.
 *
 * The primary's heap may grow by about 0.2 MB per minute for the first hour: the limiter keeps the time of each request of the
 * last hour, and here one client sends all of them.
 *
 * The proof fits a straight line to the samples of each process in the second half of the time, and fails if a process grows
 * by more than 1 MB per minute.
 */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { createQueue } from '../../src/jobs/queue.ts';
import { defineTask } from '../../src/jobs/task.ts';
import { request } from '../helpers/http-client.ts';
import { insertFeature } from '../helpers/insert-feature.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { openProofDatabase } from './jobs/database.ts';
import { freePort } from './ports.ts';
import { makeProgramCopy } from './program-copy.ts';

const minutes = readNumber('--minutes', 30);
const maxPerMinute = 1;
/** A folder for heap snapshots. Each process writes one after each third of the time. */
const snapshots = process.env.SOAK_SNAPSHOTS;
const sampleEveryMs = 10_000;
const jobsPerSecond = 20;
const clients = 16;
const paths = ['/api/v1/meta', '/api/v1/rows?limit=20', '/api/v1/rows/1', '/api/v1/users/me', '/nothing'];
/** The definition of the task in soak-feature.mjs. */
const countRows = defineTask({ name: 'count_rows', payload: z.strictObject({}) });

interface Sample {
  readonly atMs: number;
  readonly rss: number;
  readonly heapUsed: number;
}

const measured = z.object({ pid: z.int(), rss: z.number(), heapUsed: z.number() });
const ends: (() => unknown)[] = [];
const atEnd = { after: (end: () => unknown) => void ends.unshift(end) };
try {
  await prove();
} finally {
  for (const end of ends) await end();
}
process.exit();

async function prove(): Promise<void> {
  const folder = await mustMakeFolder(atEnd);
  const into = join(folder, 'samples');
  const database = await openProofDatabase();
  atEnd.after(() => database.stop());
  const copy = await makeProgramCopy(async (sources) => {
    const front = await readFile(join(import.meta.dirname, 'soak-feature.mjs'), 'utf8');
    await insertFeature(sources, 'rows', front);
  });
  atEnd.after(() => copy.remove());
  await copy.deploy(1);
  const management = await freePort();
  const program = await copy.start({
    APP_WORKERS: '2',
    APP_PORT: '0',
    APP_MANAGEMENT_PORT: String(management),
    APP_DATABASE_URL: database.url,
    APP_DATA_DIR: folder,
    APP_TASKS_ENABLED: 'true',
    SECURITY_RATE_LIMIT_PER_MINUTE: '900000',
    SECURITY_RATE_LIMIT_PER_HOUR: '900000',
    NODE_OPTIONS: `--import ${join(import.meta.dirname, 'measure-on-signal.mjs')}`,
    MEASURE_INTO: into,
    ...(snapshots === undefined ? {} : { SNAPSHOT_INTO: snapshots }),
  });
  atEnd.after(async () => {
    program.process.kill('SIGTERM');
    await program.ended;
  });
  const site = Number(new URL(program.url).port);
  const names = await nameProcesses(management, program.process.pid ?? 0);
  const sql = database.sql;
  await sql`
    create table rows (id bigint generated always as identity primary key, body text not null)`;
  await sql`insert into rows (body) values (repeat('x', 2000))`;

  const capacity = await measureCapacity(site);
  const rate = Math.round(readNumber('--rate', capacity / 2));
  console.log(`${Math.round(capacity)} requests per second at most; ${rate} from now on, for ${minutes} min`);
  const load = startRequests(site, rate);
  const queue = createQueue({ definitions: [countRows] });
  let refused = 0;
  const enqueueing = setInterval(() => {
    queue.enqueue(sql, countRows, {}).catch(() => {
      refused += 1;
    });
  }, 1000 / jobsPerSecond);

  const samples = new Map<number, Sample[]>();
  const startedAt = performance.now();
  let lines = 0;
  let thirds = 1;
  while (performance.now() - startedAt < minutes * 60_000) {
    await delay(sampleEveryMs);
    const isSnapshotDue = performance.now() - startedAt > (thirds * minutes * 60_000) / 3;
    if (isSnapshotDue) thirds += 1;
    if (snapshots !== undefined) await allowSnapshots(snapshots, isSnapshotDue);
    for (const pid of names.keys()) process.kill(pid, 'SIGUSR2');
    await delay(1_000);
    const all = (await readFile(into, 'utf8')).trim().split('\n');
    for (const line of all.slice(lines)) {
      const { pid, ...memory } = measured.parse(JSON.parse(line));
      const of = samples.get(pid) ?? [];
      of.push({ atMs: performance.now() - startedAt, ...memory });
      samples.set(pid, of);
    }
    lines = all.length;
    const last = [...names].map(([pid, name]) => `${name} ${mb(samples.get(pid)?.at(-1)?.rss ?? 0)}`);
    console.log(`${Math.round((performance.now() - startedAt) / 1000)} s  ${last.join('  ')} MB`);
  }
  clearInterval(enqueueing);
  const { sent, failed } = await load.stop();
  const [{ done } = { done: 0 }] = await sql<{ done: number }[]>`
    select count(*)::int as done from jobs where state = 'completed'`;
  console.log(`${sent} requests, ${failed} without an answer; ${done} jobs, ${refused} not enqueued`);
  report(names, samples);
}

async function allowSnapshots(folder: string, isAllowed: boolean): Promise<void> {
  await mkdir(folder, { recursive: true });
  await (isAllowed ? writeFile(join(folder, 'now'), '') : rm(join(folder, 'now'), { force: true }));
}

function report(names: ReadonlyMap<number, string>, samples: ReadonlyMap<number, readonly Sample[]>): void {
  const rows = [...names].map(([pid, name]) => {
    const of = samples.get(pid) ?? [];
    const lastHalf = of.slice(Math.floor(of.length / 2));
    return {
      process: name,
      samples: of.length,
      'RSS at first (MB)': mb(of[0]?.rss ?? 0),
      'RSS at last (MB)': mb(of.at(-1)?.rss ?? 0),
      'heap at last (MB)': mb(of.at(-1)?.heapUsed ?? 0),
      'RSS growth (MB/min)': growthOf(lastHalf, 'rss'),
      'heap growth (MB/min)': growthOf(lastHalf, 'heapUsed'),
    };
  });
  console.log(`\nGrowth over the last ${minutes / 2} of ${minutes} minutes, at most ${maxPerMinute} MB/min`);
  console.table(rows);
  for (const row of rows) {
    if (row['RSS growth (MB/min)'] <= maxPerMinute && row['heap growth (MB/min)'] <= maxPerMinute) continue;
    console.error(`FAILED: the memory of ${row.process} does not level off.`);
    process.exitCode = 1;
  }
}

/** Returns the slope of the least-squares line, in MB per minute. NaN for fewer than two samples, which fails the proof. */
function growthOf(samples: readonly Sample[], of: 'rss' | 'heapUsed'): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const times = samples.map(({ atMs }) => atMs / 60_000);
  const sizes = samples.map((sample) => sample[of] / 1e6);
  const [time, size] = [mean(times), mean(sizes)];
  const rise = mean(times.map((at, index) => (at - time) * ((sizes[index] ?? 0) - size)));
  return Math.round((rise / mean(times.map((at) => (at - time) ** 2))) * 100) / 100;
}

async function nameProcesses(management: number, primary: number): Promise<Map<number, string>> {
  const { json } = await request(management, { path: '/workers' });
  const workers = z.array(z.object({ id: z.int(), kind: z.string(), pid: z.int() })).parse(json);
  return new Map([
    [primary, 'primary'],
    ...workers.map(({ id, kind, pid }): [number, string] => [pid, kind === 'jobs' ? 'jobs' : `worker ${id}`]),
  ]);
}

/** Returns the requests per second that are answered when `clients` send them without a pause. */
async function measureCapacity(site: number): Promise<number> {
  const seconds = 5;
  const load = startRequests(site, Number.POSITIVE_INFINITY);
  await delay(seconds * 1000);
  return (await load.stop()).sent / seconds;
}

function startRequests(
  port: number,
  perSecond: number,
): { stop(): Promise<{ readonly sent: number; readonly failed: number }> } {
  const startedAt = performance.now();
  let [sent, failed, stopped] = [0, 0, false];
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopped) {
      const number = sent;
      sent += 1;
      const aheadMs = (number / perSecond) * 1000 - (performance.now() - startedAt);
      if (aheadMs > 1) await delay(aheadMs);
      await ask(port, number, number % 10 === 0 ? false : agent).catch(() => {
        failed += 1;
      });
    }
    agent.destroy();
  };
  const over = Promise.all(Array.from({ length: clients }, client));
  return {
    async stop() {
      stopped = true;
      await over;
      return { sent, failed };
    },
  };
}

function ask(port: number, number: number, agent: Agent | false): Promise<void> {
  const path = paths[number % paths.length] ?? '/';
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, host: '127.0.0.1', path, agent }, (response) => {
      response.resume().on('error', reject).on('end', resolve);
    });
    sent.on('error', reject);
    sent.end();
  });
}

function mb(bytes: number): number {
  return Math.round(bytes / 1e5) / 10;
}

/** Returns the number after a flag, or `otherwise` without the flag. */
function readNumber(flag: string, otherwise: number): number {
  const at = process.argv.indexOf(flag);
  const given = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (given > 0) return given;
  console.error('Usage: npm run prove -- soak [--minutes NUMBER] [--rate NUMBER]');
  process.exit(1);
}
