/**
 * Finds out which lock a slow statement waits for, and which sessions hold it, so that the log line `slow.query` can name
 * them: the statement itself is then rarely the cause.
 *
 *     statement without a response shortly before it is slow ──> asked with others (20 ms) ──> pg_blocking_pids
 *                                                                                               │
 *     slow.query with `lock` and `lock_holders` <── the statement ends <── recorded <───────────┘
 *
 * A fast statement costs nothing. One question at a time is sent for a pool, about all of its statements, on a connection
 * that is opened for it and closed afterwards, so it needs no connection of the pool and delays no other check. After a
 * question that failed, none is sent for 10 s: a database in trouble gets no additional work. Behind a pooler, the
 * announced process ids are those of the pooler, so a question fails.
 */

import type postgres from 'postgres';
import { createDeferred, type Deferred } from '../../concurrency/deferred.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import type { ActivityConnection } from './backend-activity.ts';
import type { DriverQuery } from './driver-query.ts';

export interface LockWait {
  /** The type, the mode and the table of the lock: `transactionid ShareLock, users`. */
  readonly lock: string;
  /** The sessions that the statement waits for, at most five. */
  readonly holders: readonly LockHolder[];
}

/** Its statement is not included, because it may contain values. */
export interface LockHolder {
  /** Its process id in `pg_stat_activity`; 0 for a prepared transaction. */
  readonly pid: number;
  readonly application: string;
  /** Such as `idle in transaction`. Empty if the role may not see it. */
  readonly state: string;
  readonly transaction_seconds?: number;
  /** Present if it waits for a lock itself. */
  readonly waits?: true;
}

export interface LockWaits {
  /** Resolves with the lock that the backend waits for, or undefined if it waits for none, or that is unknown. Never rejects. */
  find(pid: number): Promise<LockWait | undefined>;
}

const waits = new WeakMap<DriverQuery, LockWait>();

export function recordLockWait(query: DriverQuery, wait: LockWait): void {
  waits.set(query, wait);
}

/** Returns the lock that the query was waiting for when PostgreSQL was last asked. */
export function lockWaitOf(query: DriverQuery): LockWait | undefined {
  return waits.get(query);
}

/** Statements of a pool that become slow together are asked about together. */
const gatherMs = 20;
const timeoutMs = 2_000;
const pauseMs = 10_000;
const maxPids = 50;
const maxHolders = 5;

/** `connect` opens a connection for one query, with the same user and application name as the statements. */
export function createLockWaits(connect: () => ActivityConnection): LockWaits {
  const wanted = new Map<number, Deferred<LockWait | undefined>>();
  let isAsking = false;
  let notBefore = 0;

  async function askAll(): Promise<void> {
    isAsking = true;
    while (wanted.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, gatherMs));
      const asked = [...wanted].slice(0, maxPids);
      for (const [pid] of asked) wanted.delete(pid);
      const found = await askOnce(asked.map(([pid]) => pid));
      for (const [pid, answer] of asked) answer.resolve(found?.get(pid));
    }
    isAsking = false;
  }

  async function askOnce(pids: readonly number[]): Promise<ReadonlyMap<number, LockWait> | undefined> {
    if (performance.now() < notBefore) return undefined;
    const connection = connect();
    const reading = readLockWaits(connection.sql, pids).catch(() => undefined);
    const found = await withTimeout(reading, timeoutMs, () => undefined);
    connection.destroy();
    if (found === undefined) notBefore = performance.now() + pauseMs;
    return found;
  }

  return {
    find(pid) {
      const answer = wanted.get(pid) ?? createDeferred<LockWait | undefined>();
      wanted.set(pid, answer);
      if (!isAsking) void askAll();
      return answer.promise;
    },
  };
}

interface Row {
  readonly own: number;
  readonly pid: number | null;
  readonly lock: string;
  readonly holder: number;
  readonly application: string | null;
  readonly state: string | null;
  readonly seconds: number | null;
  readonly waits: boolean;
}

/**
 * Resolves with undefined behind a pooler. The text has no parameters, because the driver would prepare a statement with
 * parameters.
 */
async function readLockWaits(
  sql: postgres.Sql,
  pids: readonly number[],
): Promise<ReadonlyMap<number, LockWait> | undefined> {
  const rows = await sql.unsafe<Row[]>(`
    select pg_backend_pid() as own, waiting.pid, waiting.lock, holder.pid as holder,
      other.application_name as application, other.state,
      extract(epoch from clock_timestamp() - other.xact_start)::float8 as seconds,
      coalesce(other.wait_event_type = 'Lock', false) as waits
    from (select) as one_row
    left join lateral (
      select activity.pid,
        concat_ws(', ', wanted.locktype || ' ' || wanted.mode, coalesce(wanted.relation, (
          select relation from pg_locks as held
          where held.pid = activity.pid and held.granted and held.locktype = 'tuple' limit 1
        ))::regclass) as lock
      from pg_stat_activity as activity
      join pg_locks as wanted on wanted.pid = activity.pid and not wanted.granted
      where activity.pid in (${pids.join(', ')}) and activity.wait_event_type = 'Lock'
        and activity.application_name = current_setting('application_name') and activity.usename = session_user
    ) as waiting on true
    left join lateral (select distinct unnest(pg_blocking_pids(waiting.pid)) as pid) as holder on true
    left join pg_stat_activity as other on other.pid = holder.pid`);
  const found = new Map<number, LockWait & { readonly holders: LockHolder[] }>();
  if (rows[0]?.own !== rows.state.pid) return undefined;
  for (const { pid, lock, holder, application, state, seconds, waits: isWaiting } of rows) {
    if (pid === null || holder === null) continue;
    const wait = found.get(pid) ?? { lock, holders: [] };
    found.set(pid, wait);
    if (wait.holders.length >= maxHolders) continue;
    wait.holders.push({
      pid: holder,
      application: application ?? '',
      state: state ?? '',
      ...(seconds === null ? {} : { transaction_seconds: Math.round(seconds * 10) / 10 }),
      ...(isWaiting ? { waits: true } : {}),
    });
  }
  return found;
}
