/**
 * Jobs that end their thread, fill its memory or block it, among many ordinary ones. They must fail after their
 * attempts. Jobs that end their threads must hardly slow the others down. A job that blocks uses its thread, and a
 * processor, until its timeout: what that costs the others is printed.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from '../../../src/db/sql.ts';
import { until } from '../until.ts';
import type { Processes } from './processes.ts';

export interface PoisonResult {
  /** Jobs per second without bad neighbours, beside those that end their threads, and beside one that loops. */
  readonly alone: number;
  readonly besideEnding: number;
  readonly besideLooping: number;
  /** The final state of each bad job, with its attempts and the codes of their errors. */
  readonly ends: readonly string[];
}

/** Duration of an ordinary job, which does not use the processor. */
const pauseMs = 20;
const ending = ['exit', 'memory'] as const;
const looping = ['blocked'] as const;

export async function provePoison(sql: Sql, processes: Processes, jobs: number): Promise<PoisonResult> {
  const runner = processes.keep('runner', { APP_TASKS_THREADS: '8', APP_TASKS_THREAD_MEMORY_MB: '64' });
  await until(
    'the runner is registered',
    async () => (await sql`select from job_runners`).length === 1,
    20_000,
  );
  await rate(sql, jobs / 2);
  const alone = await rate(sql, jobs);
  await addPoison(sql, ending);
  const besideEnding = await rate(sql, jobs);
  await untilFailed(sql, ending.length);
  await addPoison(sql, looping);
  const besideLooping = await rate(sql, jobs);
  await untilFailed(sql, ending.length + looping.length);
  const rows = await sql`
    select payload->>'how' as how, state, attempt, jsonb_path_query_array(errors, '$[*].code') as codes
    from jobs where name = 'poison' order by id
  `;
  await runner.stop();
  return {
    alone,
    besideEnding,
    besideLooping,
    ends: rows.map(
      ({ how, state, attempt, codes }) => `${how}: ${state} after ${attempt} attempts, ${codes.join(', ')}`,
    ),
  };
}

export async function addPoison(sql: Sql, hows: readonly string[]): Promise<void> {
  const payloads = hows.map((how) => JSON.stringify({ how }));
  await sql`
    insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
    select 'poison', 'poison', 'available', 50, payload::jsonb, 3, 1000 from unnest(${payloads}::text[]) as payload
  `;
}

export async function untilFailed(sql: Sql, count: number): Promise<void> {
  const over = async () =>
    (await sql`select from jobs where name = 'poison' and state = 'failed'`).length === count;
  await until('the bad jobs have failed', over, 60_000);
}

/** Returns jobs per second, from the first start to the last completion. */
export async function rate(sql: Sql, jobs: number): Promise<number> {
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
