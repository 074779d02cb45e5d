/** graphile-worker as its documentation sets it up; with `BENCH_BATCHING=1`, with its batching for many short jobs. */

import { setTimeout as delay } from 'node:timers/promises';
import { makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { serve } from './adapter.mjs';
import { now } from './clock.mjs';

const batching = process.env.BENCH_BATCHING === '1';
const concurrentJobs = 24;

serve((connectionString) => {
  const pool = new pg.Pool({ connectionString, max: 10 });
  const started = new Map();
  let runner;
  let utils;
  return {
    async prepare() {
      utils = await makeWorkerUtils({ pgPool: pool });
      await utils.migrate();
    },
    async fill(count) {
      await pool.query(
        `select graphile_worker.add_jobs(array_agg(json_populate_record(null::graphile_worker.job_spec, '{"identifier":"noop"}'::json)))
         from generate_series(1, $1::integer)`,
        [count],
      );
    },
    async start() {
      runner = await run({
        connectionString,
        noHandleSignals: true,
        taskList: { noop() {}, stamp: ({ number }) => void started.set(number, now()) },
        preset: {
          worker: {
            concurrentJobs,
            maxPoolSize: concurrentJobs,
            ...(batching && { localQueue: { size: 500 }, completeJobBatchDelay: 0 }),
          },
        },
      });
    },
    enqueue: (number) => utils.addJob('stamp', { number }),
    async starts(count) {
      while (started.size < count) await delay(20);
      return [...started].sort(([a], [b]) => a - b).map(([, at]) => at);
    },
    async stop() {
      await runner?.stop();
      await utils?.release();
      await pool.end();
    },
  };
});
