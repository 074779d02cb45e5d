/**
 * Strikes at the processes while they work, one at a time, and measures how long it took until the affected jobs ran
 * again. The time of a strike is that of this process, the time of an attempt that of PostgreSQL; both are on this
 * machine.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from '../../../src/db/sql.ts';
import type { KeptProcess } from './processes.ts';

export type Strike = 'runner killed' | 'primary killed' | 'database stopped' | 'connections cut';

/** A strike, with the attempts that were running or waiting in the process that was killed. */
interface Hit {
  readonly strike: Strike;
  readonly at: number;
  readonly victims: readonly { readonly id: number; readonly attempt: number }[];
}

export interface ChaosOptions {
  readonly sql: Sql;
  readonly server: KeptProcess;
  /** Kills PostgreSQL like a power failure, and resolves when it accepts connections again. */
  readonly stopDatabase: () => Promise<void>;
}

export interface Chaos {
  strike(strike: Strike): Promise<void>;
  /**
   * Returns the time from each strike to the next attempt of each affected job, in milliseconds. Call it at the end.
   */
  recoveries(): Promise<ReadonlyMap<Strike, readonly number[]>>;
}

export function createChaos({ sql, server, stopDatabase }: ChaosOptions): Chaos {
  const hits: Hit[] = [];

  async function killRunner(): Promise<void> {
    const runners = await sql`select id, pid from job_runners order by random() limit 1`;
    const [runner] = runners;
    if (runner === undefined) return;
    kill(runner.pid);
    hits.push({ strike: 'runner killed', at: Date.now(), victims: await attemptsOf(runner.id) });
  }

  async function killPrimary(): Promise<void> {
    const own = await sql`select id, pid from job_runners`;
    const pid = server.pid();
    const runner = own.find((each) => parentOf(each.pid) === pid);
    kill(pid);
    if (runner === undefined) return;
    hits.push({ strike: 'primary killed', at: Date.now(), victims: await attemptsOf(runner.id) });
  }

  async function cutConnections(): Promise<void> {
    const at = Date.now();
    const victims =
      await sql`select id::integer, attempt from jobs where name = 'transfer' and state = 'running'`;
    for (let wave = 0; wave < 3; wave += 1) {
      await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()
      `;
      await delay(50);
    }
    hits.push({
      strike: 'connections cut',
      at,
      victims: victims.map(({ id, attempt }) => ({ id, attempt })),
    });
  }

  async function killDatabase(): Promise<void> {
    const victims =
      await sql`select id::integer, attempt from jobs where name = 'transfer' and state = 'running'`;
    await stopDatabase();
    hits.push({
      strike: 'database stopped',
      at: Date.now(),
      victims: victims.map(({ id, attempt }) => ({ id, attempt })),
    });
  }

  async function attemptsOf(runner: number) {
    const rows = await sql`
      select id::integer, attempt from jobs
      where runner = ${runner} and state = 'running' and name = 'transfer'
    `;
    return rows.map(({ id, attempt }) => ({ id, attempt }));
  }

  const strikes: Readonly<Record<Strike, () => Promise<void>>> = {
    'runner killed': killRunner,
    'primary killed': killPrimary,
    'connections cut': cutConnections,
    'database stopped': killDatabase,
  };

  return {
    strike: (strike) => strikes[strike](),
    async recoveries() {
      const found = new Map<Strike, number[]>();
      for (const { strike, at, victims } of hits) {
        const times = found.get(strike) ?? [];
        found.set(strike, times);
        for (const { id, attempt } of victims) {
          const [next] = await sql`
            select extract(epoch from min(at)) * 1000 as at from ledger_starts
            where job = ${id} and attempt > ${attempt}
          `;
          // Without a next attempt, this one was committed at the moment of the strike, or was not interrupted.
          if (next?.at !== null && next?.at !== undefined) times.push(Number(next.at) - at);
        }
      }
      return found;
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It had exited just before.
  }
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}
