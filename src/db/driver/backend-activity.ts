/**
 * What PostgreSQL says of its side of connections: whether the backend of each is at work, or has nothing more to do
 * for its client. It is asked on a connection of its own, which opens when it is needed and closes soon after.
 */

import type postgres from 'postgres';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { isConnectionError } from '../database-error.ts';

/**
 * `working`: on a statement. `done`: the backend waits for its client, or is gone. `unknown`: a pooler stands in
 * between, which gives the connection other backends than the one it announced; or PostgreSQL does not tell.
 */
export type Activity = 'working' | 'done' | 'unknown';

export interface BackendActivity {
  /** Resolves with the activity of each backend. Rejects if PostgreSQL cannot be reached within a moment. */
  ask(pids: readonly number[]): Promise<(pid: number) => Activity>;
  /** Ends backends whose client is gone, so that their locks are free. Does nothing for those of others. Never rejects. */
  end(pids: readonly number[]): Promise<void>;
  close(): void;
}

export interface ActivityConnection {
  readonly sql: postgres.Sql;
  /** Closes it at once, whatever it waits for. */
  destroy(): void;
}

/** A connection is opened, and a busy server answers, within this time. */
const answerMs = 2_000;
/** An open connection that needs longer than this may be as dead as the ones it is asked about: a new one is opened. */
const reuseMs = 300;

/** `connect` opens a connection for one query at a time, with the same user and application name as those asked about. */
export function createBackendActivity(connect: () => ActivityConnection): BackendActivity {
  let connection: ActivityConnection | undefined;

  async function run<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    if (connection !== undefined) {
      try {
        return await runOn(connection, work, reuseMs);
      } catch (error) {
        if (isRefusal(error)) throw error;
      }
    }
    connection ??= connect();
    return runOn(connection, work, answerMs);
  }

  /** Destroys the connection if the work fails or takes longer than `limitMs`. */
  async function runOn<T>(
    current: ActivityConnection,
    work: (sql: postgres.Sql) => Promise<T>,
    limitMs: number,
  ): Promise<T> {
    try {
      return await withTimeout(work(current.sql), limitMs, () => {
        throw new Error(`PostgreSQL did not answer within ${limitMs} ms.`);
      });
    } catch (error) {
      current.destroy();
      if (connection === current) connection = undefined;
      throw error;
    }
  }

  return {
    async ask(pids) {
      try {
        return await run((sql) => readActivity(sql, pids));
      } catch (error) {
        if (isRefusal(error)) return () => 'unknown';
        throw error;
      }
    },
    async end(pids) {
      const text = `
        select pg_terminate_backend(pid) from pg_stat_activity
        where pid in (${pids.join(', ')}) and ${isOurs}`;
      await run(async (sql) => sql.unsafe(text)).catch(() => {});
    },
    close() {
      connection?.destroy();
      connection = undefined;
    },
  };
}

/** Whether PostgreSQL is reachable but refuses to work, because it is full or starting. */
function isRefusal(error: unknown): boolean {
  return !isConnectionError(error) && error instanceof Error && 'severity' in error;
}

/** The number may belong to the session of somebody else by now. */
const isOurs = `application_name = current_setting('application_name') and usename = session_user`;

/** Without parameters, so that the driver prepares nothing. */
async function readActivity(sql: postgres.Sql, pids: readonly number[]): Promise<(pid: number) => Activity> {
  const rows = await sql.unsafe<{ pid: number; state: string | null; wait: string | null; own: number }[]>(`
    select pid, state, wait_event_type as wait, pg_backend_pid() as own from pg_stat_activity
    where pid = pg_backend_pid() or pid in (${pids.join(', ')}) and ${isOurs}`);
  const isPooled = rows[0]?.own !== rows.state.pid;
  const byPid = new Map(rows.map((row) => [row.pid, row]));
  return (pid) => {
    if (isPooled) return 'unknown';
    const row = byPid.get(pid);
    if (row === undefined) return 'done';
    if (row.state === 'active') return row.wait === 'Client' ? 'done' : 'working';
    return row.state?.startsWith('idle') === true ? 'done' : 'unknown';
  };
}
