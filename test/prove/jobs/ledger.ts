/**
 * The ledger: accounts, and jobs that transfer money between them. The effect of each job is one entry and two changed
 * balances. No constraint prevents a second effect; only the queue does, so the audit can detect one.
 */

import type { Sql } from '../../../src/db/sql.ts';
import type { RunTransaction } from '../../../src/db/transaction.ts';

const accounts = 50;
const balance = 1_000_000;
const perBatch = 20;

/** Faults that are injected into the first attempt of one job in `faultEvery`. */
const faultEvery = 12;
const faults = ['throws', 'exits before', 'exits inside', 'exits after'] as const;

export interface LedgerDatabase {
  readonly sql: Sql;
  readonly transaction: RunTransaction;
}

export interface Audit {
  readonly enqueued: number;
  /** The number of jobs in each state. */
  readonly states: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly doubled: number;
  readonly withoutJob: number;
  readonly sumIsRight: boolean;
  readonly balancesAreRight: boolean;
  /** The number of attempts after the first of each job. */
  readonly repeated: number;
}

export async function createLedger(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table ledger_accounts (id integer primary key, balance bigint not null);
    create table ledger_entries (
      job bigint not null, attempt integer not null,
      from_account integer not null, to_account integer not null, amount integer not null
    );
    create table ledger_starts (job bigint not null, attempt integer not null, at timestamptz not null default clock_timestamp());
    create table ledger_requests (batch integer primary key, jobs integer not null);
    insert into ledger_accounts select id, ${balance} from generate_series(1, ${accounts}) as id;
  `);
}

/**
 * Enqueues a batch and records it in the same transaction. If the connection is cut, it checks whether the transaction
 * was committed, and repeats it if not. The first job of a batch takes half a second, the others a few milliseconds.
 */
export async function enqueueBatch(
  { sql, transaction }: LedgerDatabase,
  enqueue: (tx: Sql, payload: object) => Promise<unknown>,
  batch: number,
): Promise<number> {
  for (;;) {
    try {
      const done = await sql`select 1 from ledger_requests where batch = ${batch}`;
      if (done.length === 1) return perBatch;
      await transaction(async (tx) => {
        await tx`insert into ledger_requests values (${batch}, ${perBatch})`;
        for (let index = 0; index < perBatch; index += 1) await enqueue(tx, payloadOf(batch, index));
      });
      return perBatch;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Enqueues in a transaction that is rolled back: none of its jobs may ever be visible. */
export async function enqueueRolledBack(
  { transaction }: LedgerDatabase,
  enqueue: (tx: Sql, payload: object) => Promise<unknown>,
): Promise<void> {
  await transaction(async (tx) => {
    await enqueue(tx, { ...payloadOf(0, 1), amount: 999_999 });
    throw new Error('Rolled back.');
  }).catch(() => {});
}

function payloadOf(batch: number, index: number): object {
  const number = batch * perBatch + index;
  const from = 1 + (number % accounts);
  const to = 1 + ((number * 7 + 3) % accounts);
  return {
    from,
    to: to === from ? 1 + (to % accounts) : to,
    amount: 1 + (number % 97),
    ms: index === 0 ? 500 : number % 7,
    fault: number % faultEvery === 5 ? faults[((number / faultEvery) % faults.length) | 0] : 'none',
  };
}

export async function countUnfinished(sql: Sql): Promise<number> {
  const [row] = await sql`
    select count(*)::integer as count from jobs
    where name = 'transfer' and state in ('scheduled', 'available', 'running')
  `;
  return row?.count ?? 0;
}

export async function audit(sql: Sql): Promise<Audit> {
  const [requests] = await sql`select coalesce(sum(jobs), 0)::integer as enqueued from ledger_requests`;
  const states =
    await sql`select state, count(*)::integer as count from jobs where name = 'transfer' group by state`;
  const [effects] = await sql`
    select
      count(*) filter (where entries is null)::integer as lost,
      count(*) filter (where entries > 1)::integer as doubled
    from jobs left join (select job, count(*) as entries from ledger_entries group by job) as effects on job = id
    where name = 'transfer'
  `;
  const [withoutJob] = await sql`
    select count(*)::integer as count from ledger_entries where job not in (select id from jobs where name = 'transfer')
  `;
  const [sum] =
    await sql`select sum(balance)::bigint = ${accounts * balance}::bigint as is_right from ledger_accounts`;
  const wrong = await sql`
    select id from ledger_accounts where balance <> ${balance}
      + coalesce((select sum(amount) from ledger_entries where to_account = id), 0)
      - coalesce((select sum(amount) from ledger_entries where from_account = id), 0)
  `;
  const [repeated] =
    await sql`select coalesce(sum(attempt - 1), 0)::integer as count from jobs where name = 'transfer'`;
  return {
    enqueued: requests?.enqueued,
    states: Object.fromEntries(states.map(({ state, count }) => [state, count])),
    lost: effects?.lost,
    doubled: effects?.doubled,
    withoutJob: withoutJob?.count,
    sumIsRight: sum?.is_right,
    balancesAreRight: wrong.length === 0,
    repeated: repeated?.count,
  };
}
