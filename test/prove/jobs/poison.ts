/**
 * Jobs that end their thread, fill its memory or never let go of it, among many that do nothing wrong: the first must
 * fail after their attempts, and the others must hardly notice.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from '../../../src/db/intercept.ts';
import { until } from '../until.ts';
import type { Processes } from './processes.ts';

export interface PoisonResult {
  /** Jobs a second without bad neighbours, and with them. */
  readonly alone: number;
  readonly beside: number;
  /** How each of the bad ones has ended: its state, its attempts, and the codes of their faults. */
  readonly ends: readonly string[];
}

/** Each takes 20 ms without using the processor. */
const pauseMs = 20;
const hows = ['exit', 'memory', 'blocked'] as const;

export async function provePoison(sql: Sql, processes: Processes, jobs: number): Promise<PoisonResult> {
  const runner = processes.keep('runner', { APP_TASKS_THREADS: '8', APP_TASKS_THREAD_MEMORY_MB: '64' });
  await until('the runner is there', async () => (await sql`select from job_runners`).length === 1, 20_000);
  await rate(sql, jobs / 2);
  const alone = await rate(sql, jobs);
  await Promise.all(
    hows.map(
      (how) => sql`
        insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
        values ('poison', 'poison', 'available', 50, ${sql.json({ how })}, 3, 1000)
      `,
    ),
  );
  const beside = await rate(sql, jobs);
  const over = async () =>
    (await sql`select from jobs where name = 'poison' and state = 'failed'`).length === hows.length;
  await until('the bad ones have failed', over, 60_000);
  const rows = await sql`
    select payload->>'how' as how, state, attempt, jsonb_path_query_array(errors, '$[*].code') as codes
    from jobs where name = 'poison' order by id
  `;
  await runner.stop();
  return {
    alone,
    beside,
    ends: rows.map(
      ({ how, state, attempt, codes }) => `${how}: ${state} after ${attempt} attempts, ${codes.join(', ')}`,
    ),
  };
}

/** Jobs a second, from the first to be started to the last to be completed. */
async function rate(sql: Sql, jobs: number): Promise<number> {
  const [first] = await sql`
    with added as (
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      select 'pause', 'pauses', 'available', 100, ${sql.json({ ms: pauseMs })}, 3, 60000 from generate_series(1, ${jobs})
      returning id
    )
    select min(id)::bigint as id from added
  `;
  for (;;) {
    const [left] = await sql`
      select count(*)::integer as count from jobs
      where name = 'pause' and state in ('scheduled', 'available', 'running')
    `;
    if (left?.count === 0) break;
    await delay(50);
  }
  const [time] = await sql`
    select extract(epoch from max(finished_at) - min(started_at)) as seconds from jobs
    where name = 'pause' and id >= ${first?.id}
  `;
  return jobs / Number(time?.seconds);
}
