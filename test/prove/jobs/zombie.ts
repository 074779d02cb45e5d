/**
 * A runner is suspended in the middle of a job, its session is terminated as by a firewall or a pulled cable, and
 * another runner completes the job. Then the first one is resumed: it must not complete the attempts that it still has.
 */

import type { Sql } from '../../../src/db/sql.ts';
import { until } from '../until.ts';
import type { Processes } from './processes.ts';

export interface ZombieResult {
  /** The attempt that completed the job, and the number of effects. */
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
  await until('two runners are registered', async () => (await runnersOf(sql)).length === 2, 20_000);
  const job = await enqueue({ from: 1, to: 2, amount: 5, ms: 1_500, fault: 'none' });
  await until('the job runs', async () => (await find(sql, job)).state === 'running', 5_000);
  const { runner } = await find(sql, job);
  const suspended = (await runnersOf(sql)).find(({ id }) => id === runner);
  if (suspended === undefined) throw new Error('The runner of the job is not registered.');
  process.kill(suspended.pid, 'SIGSTOP');
  const cutAt = Date.now();
  await sql`
    select pg_terminate_backend(pid) from pg_locks
    where locktype = 'advisory' and objid = ${suspended.id} and granted and objsubid = 2
  `;
  await until(
    'another runner has completed it',
    async () => (await find(sql, job)).state === 'completed',
    10_000,
  );
  process.kill(suspended.pid, 'SIGCONT');
  // It notices the loss, aborts its attempts, and registers as a new runner.
  await until(
    'the suspended runner has a new number',
    async () => (await runnersOf(sql)).some(({ pid, id }) => pid === suspended.pid && id !== suspended.id),
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
