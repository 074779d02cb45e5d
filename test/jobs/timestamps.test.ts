import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Sql } from '../../src/db/sql.ts';
import { createMinuteStatistics } from '../../src/jobs/admin/minute-statistics.ts';
import {
  cancelRunning,
  claimJobs,
  completeInTransaction,
  completeJobs,
  failAttempt,
  markTransaction,
  releaseJobs,
  snoozeJob,
} from '../../src/jobs/attempt-store.ts';
import { takeOver } from '../../src/jobs/runner/runner-store.ts';
import { cancelJob, insertJob, retryJob } from '../../src/jobs/store.ts';
import { newJob } from '../helpers/new-job.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const { sql, transaction } = await mustOpenTestDatabase({ after });
const runner = 1;
await sql`insert into job_runners (id, host, pid, version, threads) values (${runner}, 'test', 1, '0.0.0', 1)`;

const error = { code: 'threw', message: 'It went wrong.' } as const;

/** Each change of a job, with the timestamps that it writes. */
const changes: [what: string, timestamps: string, change: (tx: Sql, id: number) => Promise<unknown>][] = [
  ['enqueued', 'created_at, run_at', (tx) => insertJob(tx, newJob({ queue: 'timestamps' }))],
  ['claimed', 'started_at', (tx) => claimJobs(tx, { runner, queues: ['timestamps'], limit: 1, suspects: 1 })],
  [
    'completed in the transaction of its effect',
    'finished_at',
    async (tx, id) => {
      await markTransaction(tx, { id, attempt: 1, runner });
      await completeInTransaction(tx, { id, attempt: 1, runner, result: null });
    },
  ],
  [
    'completed',
    'finished_at',
    (tx, id) => completeJobs(tx, { runner, done: [{ id, attempt: 1, result: null }] }),
  ],
  [
    'failed',
    "finished_at, (errors->0->>'at')::timestamptz",
    (tx, id) => failAttempt(tx, { id, attempt: 1, runner, error, retryAfterMs: null }),
  ],
  [
    'scheduled again',
    "run_at, (errors->0->>'at')::timestamptz",
    (tx, id) => failAttempt(tx, { id, attempt: 1, runner, error, retryAfterMs: 0 }),
  ],
  ['snoozed', 'run_at', (tx, id) => snoozeJob(tx, { id, attempt: 1, runner, delayMs: 0 })],
  ['cancelled', 'finished_at', (tx, id) => cancelRunning(tx, { id, attempt: 1, runner })],
  ['released', 'run_at', (tx, id) => releaseJobs(tx, { runner, jobs: [{ id, attempt: 1 }] })],
  ['cancelled while it waits', 'finished_at', (tx, id) => cancelJob(tx, id)],
  ['retried by an operator', 'run_at, (retries->>0)::timestamptz', (tx, id) => retryJob(tx, id)],
  ['taken over', "run_at, (errors->0->>'at')::timestamptz", (tx) => takeOver(tx, runner)],
];

const before: Readonly<Record<string, 'available' | 'failed'>> = {
  enqueued: 'available',
  claimed: 'available',
  'cancelled while it waits': 'available',
  'retried by an operator': 'failed',
};

describe('the timestamps of a job', () => {
  for (const [what, timestamps, change] of changes) {
    it(`a job that is ${what} has the current time in ${timestamps}, however long ago the transaction started`, async () => {
      await sql`delete from jobs`;
      const id = await mustStoreJob(sql, {
        state: before[what] ?? 'running',
        queue: 'timestamps',
        errors: before[what] === 'failed' ? [{ attempt: 1, at: '2026-01-31T12:00:00.000Z', ...error }] : [],
      });
      const rows = await transaction(async (tx) => {
        await tx`select pg_sleep(0.2)`;
        await change(tx, id);
        return tx.unsafe<{ ms: number }[]>(`
          select (extract(epoch from written_at - now()) * 1000)::float8 as ms
          from (select * from jobs order by id desc limit 1) as job,
            lateral (select unnest(array[${timestamps}]) as written_at) as written`);
      });
      assert.ok(rows.length > 0);
      // Timestamps in JSON are rounded to milliseconds.
      for (const { ms } of rows) assert.ok(ms >= 199, String(ms));
    });
  }

  it('a job counts in the minute in which it finished, however long its transaction took', async () => {
    await sql`delete from jobs`;
    const minuteMs = 60_000;
    const startedAt = new Date(Date.now() - 5 * minuteMs);
    const id = await mustStoreJob(sql, { state: 'running', startedAt, runAt: startedAt });
    await transaction(async (tx) => {
      await markTransaction(tx, { id, attempt: 1, runner });
      await tx`select pg_sleep(0.05)`;
      await completeInTransaction(tx, { id, attempt: 1, runner, result: null });
    });
    const minutes = await createMinuteStatistics(sql)();
    const counted = minutes.filter(({ completed }) => completed > 0);
    assert.equal(counted.length, 1);
    assert.ok((counted[0]?.start.getTime() ?? 0) >= Date.now() - 2 * minuteMs);
    assert.ok((counted[0]?.run?.p50 ?? 0) >= 5 * minuteMs);
  });
});
