/** Strata's queue as `npm run worker` opens it: its defaults, its log lines (to the null device), its metrics. */

import { setTimeout as delay } from 'node:timers/promises';
import { connectDatabase } from '../../src/db/database.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { startRunner } from '../../src/jobs/runner/runner.ts';
import { createThreadPool } from '../../src/jobs/thread/thread-pool.ts';
import { openLogDestination } from '../../src/observability/log/log-destination.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { serve } from './adapter.mjs';
import { noop, stamp } from './strata-tasks.mjs';

const threads = 2;
const perTransaction = 1_000;

serve((databaseUrl) => {
  const log = createLogger({ level: 'INFO', destination: openLogDestination('json') });
  const metrics = createMetrics();
  const definitions = [noop, stamp];
  const queue = createQueue({ definitions });
  const database = connectDatabase({
    url: databaseUrl,
    poolSize: 5,
    statementTimeoutMs: 10_000,
    connectTimeoutSeconds: 5,
    slowQueryMs: 1_000,
    echo: false,
    log,
    applicationName: 'bench',
  });
  const pool = createThreadPool({
    entry: new URL('./strata-thread.js', import.meta.url),
    workerData: { databaseUrl },
    size: threads,
    memoryMb: 256,
    log,
    metrics,
  });
  let runner;
  return {
    async prepare() {
      await migrateUp({ url: databaseUrl, log });
    },
    async fill(count) {
      for (let left = count; left > 0; left -= perTransaction) {
        await database.transaction(async (sql) => {
          for (let index = 0; index < Math.min(left, perTransaction); index += 1)
            await queue.enqueue(sql, noop, {});
        });
      }
    },
    async start() {
      runner = await startRunner({
        databaseUrl,
        directUrl: databaseUrl,
        definitions,
        pool,
        version: 'bench',
        log,
        metrics,
      });
    },
    enqueue: (number) => queue.enqueue(database.sql, stamp, { number }),
    async starts() {
      for (;;) {
        const rows = await database.sql`select state, result from jobs where name = 'stamp' order by id`;
        if (rows.every(({ state }) => state === 'completed')) return rows.map(({ result }) => result);
        await delay(20);
      }
    },
    async stop() {
      await runner?.stop(0);
      await pool.close();
      await database.close(1);
    },
  };
});
