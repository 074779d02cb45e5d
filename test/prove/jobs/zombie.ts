/**
 * A runner is paused in the middle of a job, its session is ended as a firewall or a pulled cable would, and another one
 * does the job. Then it is woken up: it must not complete what it still holds in its hands.
 */

import type { Sql } from '../../../src/db/sql.ts';
import { until } from '../until.ts';
import type { Processes } from './processes.ts';

export interface ZombieResult {
  /** The attempt that was completed, and how many effects there are. */
  readonly attempt: number;
  readonly effects: number;
  /** Milliseconds from the end of the session to the start of the next attempt. */
  readonly recoveryMs: number;
}

export async function proveZombie(
  sql: Sql,
  processes: Processes,
  enqueue: (payload: object) => Promise<number>,
): Promise<ZombieResult> {
  const runners = [processes.keep('runner'), processes.keep('runner')];
  await until('two runners are there', async () => (await runnersOf(sql)).length === 2, 20_000);
  const job = await enqueue({ from: 1, to: 2, amount: 5, ms: 1_500, fault: 'none' });
  await until('the job runs', async () => (await find(sql, job)).state === 'running', 5_000);
  const { runner } = await find(sql, job);
  const paused = (await runnersOf(sql)).find(({ id }) => id === runner);
  if (paused === undefined) throw new Error('The runner of the job is not there.');
  process.kill(paused.pid, 'SIGSTOP');
  const cutAt = Date.now();
  await sql`
    select pg_terminate_backend(pid) from pg_locks
    where locktype = 'advisory' and objid = ${paused.id} and granted and objsubid = 2
  `;
  await until('another one has done it', async () => (await find(sql, job)).state === 'completed', 10_000);
  process.kill(paused.pid, 'SIGCONT');
  // It notices, gives up, and comes back as a new runner, which does the next job.
  await until(
    'the paused one has begun anew',
    async () => (await runnersOf(sql)).some(({ pid, id }) => pid === paused.pid && id !== paused.id),
    10_000,
  );
  const [next] = await sql`
    select extract(epoch from min(at)) * 1000 as at from ledger_starts where job = ${job} and attempt = 2
  `;
  const effects = await sql`select 1 from ledger_entries where job = ${job}`;
  const { attempt } = await find(sql, job);
  await Promise.all(runners.map((each) => each.stop()));
  return { attempt, effects: effects.length, recoveryMs: Number(next?.at) - cutAt };
}

async function find(sql: Sql, job: number) {
  const [row] = await sql`select state, runner, attempt from jobs where id = ${job}`;
  return { state: row?.state, runner: row?.runner, attempt: row?.attempt };
}

async function runnersOf(sql: Sql): Promise<{ readonly id: number; readonly pid: number }[]> {
  return sql`select id, pid from job_runners`;
}
