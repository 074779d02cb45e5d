/**
 * `npm run prove -- pooler`: a runner behind a real PgBouncer, in each of its modes. Where a connection is lent by the
 * transaction, or by the statement, the runner refuses with a sentence; a pooler of sessions it may use.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { StartError } from '../../src/errors.ts';
import { startRunner } from '../../src/jobs/runner.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { endless, inlinePool } from '../helpers/inline-pool.ts';
import { freePort, isTaken } from './ports.ts';
import { until } from './until.ts';

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
    console.log(`${isRight ? 'ok ' : 'Not so:'} ${mode}, ${size} connections: ${answer ?? 'it runs'}`);
    if (!isRight) process.exitCode = 1;
  }
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Resolves with the sentence by which a runner refuses, or undefined if it runs. */
async function tryRunner(mode: string, size: number): Promise<string | undefined> {
  const pooler = await startPgBouncer(mode, size);
  try {
    const runner = await startRunner({
      ...{ databaseUrl: postgres.url, directUrl: pooler.url, definitions: [], version: '0.0.0', log },
      ...{ pool: inlinePool(1, endless), metrics: createMetrics() },
    });
    const isReady = runner.isReady();
    await runner.stop(0);
    return isReady ? undefined : 'it does not get ready';
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
      `auth_type = any\npool_mode = ${mode}\ndefault_pool_size = ${size}\n`,
  );
  // It refuses to work as root.
  const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn('pgbouncer', ['-q', ...asUser, config], { stdio: ['ignore', 'ignore', 'inherit'] });
  let isMissing = false;
  child.on('error', () => {
    isMissing = true;
  });
  await until('PgBouncer listens', async () => isMissing || (await isTaken(port)), 10_000);
  if (isMissing) throw new Error('PgBouncer cannot be run: install it with `apt-get install pgbouncer`.');
  target.host = `127.0.0.1:${port}`;
  return {
    url: target.href,
    async stop() {
      child.kill('SIGTERM');
      await once(child, 'close');
    },
  };
}
