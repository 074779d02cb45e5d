/**
 * `npm run prove -- jobs-plans`: the statements of the queue cost the same with a million finished jobs as with none.
 *
 * A table gets a million finished jobs of the last 60 days and 20,000 waiting ones, half of them in a paused queue.
 * Each statement of the queue runs as the program sends it, with `explain (analyze, buffers)` before it, first on a
 * table without statistics, then on an analysed one. No statement may read the whole table or touch more pages than its
 * work explains: a changed job costs a few pages in each index, a look-up a handful.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { columnTypes } from '../../src/db/driver/column-types.ts';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import type { Sql } from '../../src/db/sql.ts';
import { searchJobs } from '../../src/jobs/admin/search.ts';
import { claimJobs, completeJobs, releaseJobs } from '../../src/jobs/attempt-store.ts';
import { findQueueDepths, lockClass, pollSession, takeOver } from '../../src/jobs/runner/runner-store.ts';
import { cancelJob, findJob, insertJob, pruneJobs } from '../../src/jobs/store.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { newJob } from '../helpers/new-job.ts';

const finished = 1_000_000;
const waiting = 20_000;
const running = 100;
const queues = ['default', 'paused', 'empty'];
const keep = { completedDays: 7, failedDays: 30 };
const own = Array.from({ length: running }, (_, index) => ({ id: index + 1, attempt: 1, result: '{}' }));

/** One or more statements, and the maximum number of pages that they may touch together. */
const cases: [what: string, maxPages: number, run: (sql: Sql) => Promise<unknown>][] = [
  ['enqueue', 100, (sql) => insertJob(sql, newJob())],
  ['enqueue, unique key', 100, (sql) => insertJob(sql, newJob({ uniqueKey: 'taken' }))],
  ['claim 100', 6_000, (sql) => claimJobs(sql, { runner: 2, queues, limit: 100, suspects: 2 })],
  [
    'claim from empty queues',
    50,
    (sql) => claimJobs(sql, { runner: 2, queues: ['paused', 'none'], limit: 100, suspects: 2 }),
  ],
  ['complete 100', 6_000, (sql) => completeJobs(sql, { runner: 1, done: own })],
  ['release 100', 6_000, (sql) => releaseJobs(sql, { runner: 1, jobs: own })],
  ['poll', 300, (sql) => pollSession(sql, { runner: 2, queues })],
  ['take over 100', 6_000, (sql) => takeOver(sql, 1)],
  ['cancel', 100, (sql) => cancelJob(sql, 1)],
  ['find', 20, (sql) => findJob(sql, finished / 2)],
  ['prune 1,000', 40_000, (sql) => pruneJobs(sql, 1_000, keep)],
  ['nothing to prune', 100, (sql) => pruneJobs(sql, 1_000, { completedDays: 90, failedDays: 90 })],
  ['list', 500, (sql) => searchJobs(sql, {}, undefined)],
  ['list available', 5_000, (sql) => searchJobs(sql, { state: 'available' }, undefined)],
  ['list failed', 5_000, (sql) => searchJobs(sql, { state: 'failed' }, undefined)],
  ['depths of queues', 30_000, (sql) => findQueueDepths(sql, queues)],
];

const undo = new Error('Rolled back on purpose.');
const folder = mkdtempSync(join(tmpdir(), 'strata-proof-'));
const log = createLogger({
  level: 'ERROR',
  destination: { write: (line) => void process.stderr.write(line), flush: async () => {} },
});
const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
let failed = false;
try {
  await prove();
} finally {
  await embedded.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function prove(): Promise<void> {
  await migrateUp({ url: embedded.url, log });
  const sent: { text: string; parameters: Parameters }[] = [];
  const session = postgres(embedded.url, {
    max: 1,
    fetch_types: false,
    types: columnTypes,
    onnotice: () => {},
    debug: (_connection, text, parameters) => void sent.push({ text, parameters }),
  });
  // The recorded parameters are strings already; a session without column types sends them unchanged.
  const explaining = postgres(embedded.url, { max: 1, fetch_types: false, onnotice: () => {} });
  await session`alter table jobs set (autovacuum_enabled = false)`;
  await fill(session);
  for (const state of ['without statistics', 'analysed']) {
    if (state === 'analysed') await session`vacuum analyze jobs`;
    console.log(`\n${finished.toLocaleString('en')} finished jobs, ${state}`);
    console.log(row(['statement', 'ms', 'pages', 'max', 'jobs are read by', '']));
    for (const [what, maxPages, run] of cases) {
      await rolledBack(session, async (sql) => {
        sent.length = 0;
        await run(sql);
      });
      const statements = sent.filter(({ text }) => !/^\s*(?:begin|rollback|commit)/i.test(text)).splice(0);
      const plans: Plan[] = [];
      await rolledBack(explaining, async (sql) => {
        for (const { text, parameters } of statements) plans.push(await explain(sql, text, parameters));
      });
      report(what, maxPages, plans);
    }
  }
  await explaining.end();
  await session.end();
}

async function fill(sql: Sql): Promise<void> {
  await sql`
    insert into job_runners (id, host, pid, version, threads)
    values (1, 'dead', 1, '0', 1), (2, 'alive', 2, '0', 1)`;
  await sql`select pg_advisory_lock(${lockClass}, 2)`;
  await sql`insert into job_queues (name, paused_at) values ('paused', now())`;
  await sql`
    insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, runner, started_at)
    select 'add', 'default', 'running', 100, '{}', 1, 3, 1000, 1, now() from generate_series(1, ${running})`;
  await sql`
    insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, errors, finished_at)
    select 'add', 'default', case when i % 20 = 0 then 'failed' when i % 100 = 1 then 'cancelled' else 'completed' end,
      100, '{"to":"somebody@example.com"}', 1, 3, 1000, '[{"code":"threw","message":"No."}]',
      now() - i * interval '5.184 s'
    from generate_series(1, ${finished}::integer) as i`;
  await sql`
    insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms, run_at)
    select 'add', case i % 2 when 0 then 'default' else 'paused' end,
      case when i % 10 = 0 then 'scheduled' else 'available' end, i % 3, '{}', 3, 1000,
      case when i % 10 = 0 then now() + interval '1 day' else now() end
    from generate_series(1, ${waiting}::integer) as i`;
  await insertJob(sql, newJob({ uniqueKey: 'taken' }));
}

async function rolledBack<Types extends Record<string, unknown>>(
  session: postgres.Sql<Types>,
  work: (sql: postgres.TransactionSql<Types>) => Promise<void>,
): Promise<void> {
  const rollingBack = session.begin(async (sql) => {
    await work(sql);
    throw undo;
  });
  await rollingBack.catch((error) => {
    if (error !== undo) throw error;
  });
}

type Parameters = postgres.ParameterOrJSON<number>[];

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

interface Plan {
  readonly Plan: PlanNode;
  readonly 'Execution Time': number;
}

async function explain(sql: postgres.TransactionSql, text: string, parameters: Parameters): Promise<Plan> {
  const query = `explain (analyze, buffers, timing off, format json) ${text}`;
  const [answer] = await sql.unsafe<{ 'QUERY PLAN': [Plan] }[]>(query, parameters, {
    prepare: true,
  });
  if (answer === undefined) throw new Error('PostgreSQL returned no plan.');
  return answer['QUERY PLAN'][0];
}

function report(what: string, maxPages: number, plans: readonly Plan[]): void {
  const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan));
  const readers = nodes.filter(
    (node) => node['Relation Name'] === 'jobs' || node['Index Name'] !== undefined,
  );
  const scans = new Set(
    readers
      .filter((node) => node['Node Type'].includes('Scan'))
      .map((node) => node['Index Name'] ?? node['Node Type']),
  );
  const pages = plans.reduce(
    (sum, { Plan }) => sum + Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'],
    0,
  );
  const ms = plans.reduce((sum, plan) => sum + plan['Execution Time'], 0);
  const isGood = pages <= maxPages && !nodes.some(isWholeTable);
  if (!isGood) failed = true;
  console.log(row([what, ms.toFixed(1), pages, maxPages, [...scans].join(' '), isGood ? '' : 'WRONG']));
}

function isWholeTable(node: PlanNode): boolean {
  return node['Node Type'] === 'Seq Scan' && node['Relation Name'] === 'jobs';
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

function row(cells: readonly (string | number)[]): string {
  const widths = [24, 9, 8, 8, 60];
  return cells
    .map((cell, index) =>
      index === 0 || index > 3
        ? String(cell).padEnd(widths[index] ?? 0)
        : String(cell).padStart(widths[index] ?? 0),
    )
    .join('  ')
    .trimEnd();
}
