import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import type { Database } from '../../src/db/database.ts';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { type Program, startProgram } from '../helpers/program.ts';
import { mustInsertUser } from '../helpers/test-credentials.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

async function workersOf(program: Program): Promise<{ readonly pid: number; readonly requests: number }[]> {
  const { json } = await request(Number(new URL(await program.management).port), { path: '/workers' });
  return json;
}

/** Returns a counter of the cache, summed over the workers. */
async function counted(program: Program, name: string, label: string): Promise<number> {
  const text = await (await fetch(`${await program.management}/metrics`)).text();
  const series = [...text.matchAll(new RegExp(`^${name}\\{.*"${label}".*\\} (\\S+)$`, 'gm'))];
  return series.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** The local ports of the program's sessions that wait for the table of posts. */
async function waitingLoads({ sql }: Database): Promise<number[]> {
  const rows = await sql<{ port: number }[]>`
    select client_port as port from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%posts%'`;
  return rows.map(({ port }) => port);
}

/** Whether this process has the TCP connection with this local port. */
function hasConnection(pid: number, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n');
  const inode = lines
    .map((line) => line.trim().split(/\s+/))
    .find(([, from = '']) => from.endsWith(local))?.[9];
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });
}

test('concurrent requests in two workers cause one load, and when the worker that loads is killed, one more', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const author = await mustInsertUser(database.sql);
  await database.sql`insert into posts (author_id, title, body) values (${author}, 'First', 'A text.')`;
  const program = startProgram(t, {
    APP_WORKERS: '2',
    APP_MANAGEMENT_PORT: '0',
    APP_DATABASE_URL: database.url,
    // A busy machine may delay the primary, which the workers would not wait for.
    APP_CACHE_TIMEOUT_MS: '10000',
  });
  await program.logged(/"worker":1.*"event":"process.ready"/);
  await program.logged(/"worker":2.*"event":"process.ready"/);
  const port = Number(new URL(await program.ready).port);
  /** Sends eight requests. Each has a new connection, which the primary gives to the next worker. */
  const readAll = (limit: number) =>
    Array.from({ length: 8 }, () =>
      request(port, { path: `/api/v1/posts?limit=${limit}` }).then(
        ({ status, json }) => `${status} ${json.items?.[0].title ?? json.detail}`,
        () => 'aborted',
      ),
    );
  const received = async (requests: number) => {
    const counts = (await workersOf(program)).map((each) => each.requests);
    return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count, 0) === requests;
  };
  const stored = () => counted(program, 'cache_loads_total', 'stored');

  /** Resolves with the local port of the load that waits, and fails if there are several. */
  const onlyLoad = async () => {
    await eventually('a load waits', async () => (await waitingLoads(database)).length > 0);
    const [first = 0, ...others] = await waitingLoads(database);
    assert.deepEqual(others, []);
    return first;
  };

  /** A load waits as long as the table is locked. */
  const whileLocked = (work: () => Promise<void>) =>
    database.transaction(async (tx) => {
      await tx`lock table posts in access exclusive mode`;
      await work();
    });

  let reads: Promise<string>[] = [];
  await whileLocked(async () => {
    reads = readAll(5);
    await eventually('both workers have requests', () => received(8));
    await onlyLoad();
  });
  assert.deepEqual(await Promise.all(reads), new Array(8).fill('200 First'));
  await eventually('one load is counted', async () => (await stored()) === 1);
  assert.equal(await counted(program, 'cache_calls_total', 'awaited'), 1);
  assert.equal(await counted(program, 'cache_calls_total', 'joined'), 6);

  await whileLocked(async () => {
    reads = readAll(6);
    await eventually('both workers have all requests', () => received(16));
    const first = await onlyLoad();
    const loading = (await workersOf(program)).find(({ pid }) => hasConnection(pid, first));
    assert.ok(loading !== undefined, 'No worker has the connection that loads.');
    process.kill(loading.pid, 'SIGKILL');
    await eventually('the other worker loads', async () =>
      (await waitingLoads(database)).some((each) => each !== first),
    );
  });
  const answers = new Set(await Promise.all(reads));
  assert.deepEqual([...answers].sort(), ['200 First', 'aborted']);
  await eventually('one more load is counted', async () => (await stored()) === 2);
});
