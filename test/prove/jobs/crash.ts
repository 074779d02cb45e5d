/**
 * A job that crashes its process, among many ordinary ones. It must end the runner once and then fail on its own. Jobs
 * that were lost with the runner must complete, and the others must hardly be slower.
 */

import type { Sql } from '../../../src/db/sql.ts';
import { until } from '../until.ts';
import { addPoison, rate, untilFailed } from './poison.ts';
import type { Processes } from './processes.ts';

export interface CrashResult {
  /** Jobs per second without the job that crashes, and beside it. */
  readonly alone: number;
  readonly beside: number;
  /** How many runners were started after the first. */
  readonly restarts: number;
  /** The final state of the job that crashes, and the codes of its errors. */
  readonly crasher: string;
  /** How many other jobs were lost with the runner, and how many of all others have failed. */
  readonly lost: number;
  readonly innocentFailed: number;
}

export async function proveCrash(sql: Sql, processes: Processes, jobs: number): Promise<CrashResult> {
  await sql`delete from jobs where name in ('pause', 'poison')`;
  const runner = processes.keep('runner', { APP_TASKS_THREADS: '8' });
  await until(
    'the runner is registered',
    async () => (await sql`select from job_runners`).length === 1,
    20_000,
  );
  await rate(sql, jobs / 4);
  const alone = await rate(sql, jobs);
  const before = await runners(sql);
  await addPoison(sql, ['crash']);
  const beside = await rate(sql, jobs);
  await untilFailed(sql, 1);
  const [crasher] = await sql`
    select state, jsonb_path_query_array(errors, '$[*].code') as codes from jobs where name = 'poison'`;
  const [others] = await sql`
    select count(*) filter (where losses > 0)::integer as lost, count(*) filter (where state = 'failed')::integer as failed
    from jobs where name = 'pause'`;
  const restarts = (await runners(sql)) - before;
  await runner.stop();
  return {
    ...{ alone, beside, restarts },
    crasher: `${crasher?.state} after ${crasher?.codes.join(', ')}`,
    lost: Number(others?.lost),
    innocentFailed: Number(others?.failed),
  };
}

async function runners(sql: Sql): Promise<number> {
  const [row] = await sql`select last_value::integer as last from job_runner_ids`;
  return Number(row?.last);
}
