/**
 * `npm run bench -- jobs`: the queue against graphile-worker and pg-boss, on one PostgreSQL, in turns.
 *
 *     round 1:  A  B  C ...      each in a new, empty database and a new process:
 *     round 2:  A  B  C ...        prepare -> fill -> start one runner -> drain -> single jobs -> stop
 *
 * Throughput is that of jobs that do nothing, all of which wait when the runner starts; the first fifth is left out,
 * for then threads start and code is compiled. Latency is from the call that enqueues a job to the first line of its
 * task, with the runner idle. Nothing is pinned: the runner, its threads and PostgreSQL share all processors.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import * as z from 'zod';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { StartError } from '../../src/errors.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { builtCommand } from '../own-programs.ts';
import { describeMachine, describeVersions, writeResults } from '../results.ts';
import { ours } from '../variants.ts';
import { type JobsSample, renderJobs } from './results.ts';

interface System {
  readonly name: string;
  readonly title: string;
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
  /** How many jobs have not been done yet. */
  readonly left: string;
}

const systems: readonly System[] = [
  {
    name: ours,
    title: 'Strata',
    file: 'strata.mjs',
    left: `select count(*)::integer as left from jobs where state in ('scheduled', 'available', 'running')`,
  },
  {
    name: 'graphile',
    title: 'graphile-worker, 24 concurrent jobs',
    file: 'graphile.mjs',
    left: 'select count(*)::integer as left from graphile_worker.jobs',
  },
  {
    name: 'graphile-batching',
    title: 'graphile-worker, 24 concurrent jobs, batching',
    file: 'graphile.mjs',
    env: { BENCH_BATCHING: '1' },
    left: 'select count(*)::integer as left from graphile_worker.jobs',
  },
  {
    name: 'pg-boss',
    title: 'pg-boss, batches of 2,000',
    file: 'pg-boss.mjs',
    left: `select count(*)::integer as left from pgboss.job where name = 'noop' and state < 'completed'`,
  },
];

export interface JobsBenchOptions {
  readonly rounds: number;
  readonly quick: boolean;
}

const drainMs = 120_000;
const pauseMs = 15;

/** Measures, prints the table and writes the results. Throws a StartError where PostgreSQL cannot run. */
export async function benchJobs({ rounds, quick }: JobsBenchOptions): Promise<void> {
  const count = quick ? 5_000 : 20_000;
  const singles = quick ? 50 : 200;
  const date = new Date().toISOString();
  const machine = describeMachine();
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const log = createLogger({
    level: 'ERROR',
    destination: { write: (line) => void process.stderr.write(line), flush: async () => {} },
  });
  const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log });
  const samples = new Map<System, JobsSample[]>(systems.map((system) => [system, []]));
  try {
    for (let round = 1; round <= rounds; round += 1) {
      for (const [system, own] of samples) {
        const sample = await measure(system, embedded.url, `round_${round}`, count, singles);
        own.push(sample);
        console.error(
          `bench: round ${round} of ${rounds}: ${system.title}: ${sample.jobsPerSecond.toFixed(0)} jobs/s, ${sample.p50Ms.toFixed(1)} ms to the start`,
        );
      }
    }
  } finally {
    await embedded.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const results = {
    ...{ date, machine, versions: describeVersions(), jobs: count, singles },
    systems: [...samples].map(([{ name, title }, own]) => ({ name, title, samples: own })),
  };
  console.log(`\n${renderJobs(results)}\n`);
  console.error(`bench: written to ${writeResults(results, 'jobs')}`);
}

async function measure(
  system: System,
  serverUrl: string,
  round: string,
  count: number,
  singles: number,
): Promise<JobsSample> {
  const name = `${system.name.replace('-', '_')}_${round}`;
  const admin = postgres(serverUrl, { max: 1, onnotice: () => {} });
  await admin`create database ${admin(name)}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const sql = postgres(url.href, { max: 1, onnotice: () => {} });
  const adapter = openAdapter(system, url.href);
  try {
    await adapter.ask({ ask: 'prepare' });
    await adapter.ask({ ask: 'fill', count });
    await sql`vacuum analyze`;
    await adapter.ask({ ask: 'start' });
    const jobsPerSecond = await drain(sql, system, count);
    const latencies = z
      .array(z.number())
      .parse(await adapter.ask({ ask: 'latency', count: singles, pauseMs }));
    if (latencies.length !== singles)
      throw new StartError(`${system.title} has not started all single jobs.`);
    const sorted = latencies.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(share * (singles - 1))] ?? Number.NaN;
    return { jobsPerSecond, p50Ms: at(0.5), p99Ms: at(0.99) };
  } finally {
    await adapter.end();
    await sql.end();
    await admin`drop database ${admin(name)} with (force)`;
    await admin.end();
  }
}

/** Jobs a second over the last four fifths of them. */
async function drain(sql: postgres.Sql, { title, left }: System, count: number): Promise<number> {
  const deadline = performance.now() + drainMs;
  let started: { readonly at: number; readonly left: number } | undefined;
  while (performance.now() < deadline) {
    const [row] = await sql.unsafe(left);
    const at = performance.now();
    if (started === undefined && row?.left <= 0.8 * count) started = { at, left: row?.left };
    if (row?.left === 0 && started !== undefined) return (started.left * 1000) / (at - started.at);
    await delay(10);
  }
  throw new StartError(`${title} has not done ${count} jobs within ${drainMs / 1000} seconds.`);
}

const answer = z.union([
  z.object({ done: z.string(), value: z.unknown() }),
  z.object({ failed: z.string(), message: z.string() }),
]);

function openAdapter({ file, env }: System, databaseUrl: string) {
  const [flag, program] = builtCommand(join(import.meta.dirname, file));
  const child = fork(program, {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', BENCH_DATABASE_URL: databaseUrl, ...env },
    execArgv: [flag],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  return {
    async ask(question: { readonly ask: string } & Readonly<Record<string, unknown>>): Promise<unknown> {
      child.send(question);
      const [message] = await Promise.race([
        once(child, 'message'),
        ended.then(() => [{ failed: question.ask, message: `${file} has ended.` }]),
      ]);
      const given = answer.parse(message);
      if ('failed' in given) throw new StartError(`${file}: ${given.failed} failed: ${given.message}`);
      return given.value;
    },
    async end() {
      if (child.connected) child.send({ ask: 'stop' });
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(timer);
    },
  };
}
