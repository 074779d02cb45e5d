/**
 * `npm run prove -- pooler`: a runner behind a real PgBouncer, in each of its modes. With transaction or statement
 * pooling the runner refuses to start with a sentence; session pooling works. With a direct connection for its lock,
 * everything else works through a transaction pooler: jobs and their `ctx.tx`, and none fails.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { connectDatabase } from '../../src/db/database.ts';
import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { onlyRow } from '../../src/db/sql.ts';
import { StartError } from '../../src/errors.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { startRunner } from '../../src/jobs/runner/runner.ts';
import { defineTask } from '../../src/jobs/task.ts';
import { createThreadPool } from '../../src/jobs/thread/thread-pool.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { endless, inlinePool } from '../helpers/inline-pool.ts';
import type { TestThreadData } from '../helpers/thread-entry.ts';
import { testThreadEntry } from '../helpers/thread-pool.ts';
import { freePort, isTaken } from './ports.ts';
import { until } from './until.ts';

const jobs = 500;
const folder = await mkdtemp(join(tmpdir(), 'strata-pooler-'));
await chmod(folder, 0o755);
const { log } = captureLog();
const postgres = await startEmbedded({ dataDir: join(folder, 'postgres'), log, durable: false });
try {
  await migrateUp({ url: postgres.url, log });
  for (const [mode, size, isRefused] of [
    ['transaction', 20, true],
    ['transaction', 1, true],
    ['statement', 20, true],
    ['session', 20, false],
    ['session', 1, false],
  ] as const) {
    const answer = await tryRunner(mode, size);
    const isRight = isRefused ? answer?.includes('APP_TASKS_BROKER_URL') : answer === undefined;
    console.log(
      `${isRight ? 'ok ' : 'FAILED:'} ${mode}, ${size} connections: ${answer ?? 'the runner works'}`,
    );
    if (!isRight) process.exitCode = 1;
  }
  const found = await runThrough('transaction', 3);
  const isRight = found.completed === jobs && found.effects === jobs && found.errors === 0;
  console.log(
    `${isRight ? 'ok ' : 'FAILED:'} ${jobs} jobs by ctx.tx through transaction, 3 connections:`,
    found,
  );
  if (!isRight) process.exitCode = 1;
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Runs jobs in threads. All connections except the one for the runner's lock go through the transaction pooler. */
async function runThrough(mode: string, size: number) {
  const pooler = await startPgBouncer(mode, size);
  const workerData: TestThreadData = { databaseUrl: pooler.url };
  const pool = createThreadPool({ entry: testThreadEntry, workerData, size: 3, memoryMb: 64, log });
  const shared = { poolSize: 4, statementTimeoutMs: 10_000, connectTimeoutSeconds: 5, slowQueryMs: 10_000 };
  const database = connectDatabase({
    ...{ ...shared, url: pooler.url, echo: false, log, applicationName: 'strata-pooler' },
  });
  const { sql } = database;
  try {
    await sql`create table effects (job bigint not null)`;
    const counts = defineTask({ name: 'counts', payload: z.object({}) });
    const queue = createQueue({ definitions: [counts] });
    const runner = await startRunner({
      ...{ databaseUrl: pooler.url, directUrl: postgres.url, definitions: [counts], version: '0.0.0', log },
      ...{ pool, metrics: createMetrics() },
    });
    // Several at a time, so that statements of this pool, of the runner and of the threads mix in every order.
    for (let count = 0; count < jobs; count += 10) {
      await Promise.all(Array.from({ length: 10 }, () => queue.enqueue(sql, counts, {})));
    }
    const left = () => sql`select from jobs where state in ('available', 'running') limit ${1}`;
    await until('no job waits or runs', async () => (await left()).length === 0, 60_000);
    await runner.stop(1000);
    const found = await sql<{ completed: number; errors: number; effects: number }[]>`
      select count(*) filter (where state = 'completed') as completed, sum(jsonb_array_length(errors))::int as errors,
        (select count(*) from effects) as effects
      from jobs`;
    return onlyRow(found);
  } finally {
    await pool.close();
    await database.close(1);
    await pooler.stop();
  }
}

/** Resolves with the sentence with which a runner refuses to start, or undefined if it runs. */
async function tryRunner(mode: string, size: number): Promise<string | undefined> {
  const pooler = await startPgBouncer(mode, size);
  try {
    const runner = await startRunner({
      ...{ databaseUrl: postgres.url, directUrl: pooler.url, definitions: [], version: '0.0.0', log },
      ...{ pool: inlinePool(1, endless), metrics: createMetrics() },
    });
    const isReady = runner.isReady();
    await runner.stop(0);
    return isReady ? undefined : 'the runner does not become ready';
  } catch (error) {
    if (error instanceof StartError) return error.message;
    throw error;
  } finally {
    await pooler.stop();
  }
}

async function startPgBouncer(mode: string, size: number): Promise<{ url: string; stop(): Promise<void> }> {
  const target = new URL(postgres.url);
  const port = await freePort();
  const config = join(folder, 'pgbouncer.ini');
  const server = `host=${target.hostname} port=${target.port} user=${target.username} password=${decodeURIComponent(target.password)}`;
  await writeFile(
    config,
    `[databases]\n* = ${server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\n` +
      `auth_type = any\npool_mode = ${mode}\ndefault_pool_size = ${size}\n` +
      'ignore_startup_parameters = statement_timeout\n',
  );
  // PgBouncer refuses to run as root.
  const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn('pgbouncer', ['-q', ...asUser, config], { stdio: ['ignore', 'ignore', 'inherit'] });
  await until('PgBouncer listens', () => isTaken(port), 10_000);
  target.host = `127.0.0.1:${port}`;
  return {
    url: target.href,
    async stop() {
      child.kill('SIGTERM');
      await once(child, 'close');
    },
  };
}
