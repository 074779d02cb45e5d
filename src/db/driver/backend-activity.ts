/**
 * Reads from PostgreSQL whether the backends of given connections are working, or have nothing more to do for their
 * client. It uses a connection of its own, which opens when it is needed and closes soon after.
 */

import type postgres from 'postgres';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { isConnectionError } from '../database-error.ts';

/**
 * `working`: runs a statement. `done`: waits for its client, or is gone. `unknown`: a pooler assigned other backends
 * than the announced one, or PostgreSQL hides the state.
 */
export type Activity = 'working' | 'done' | 'unknown';

export interface BackendActivity {
  /** Resolves with the activity of each backend. Rejects if PostgreSQL cannot be reached within about 2 s. */
  ask(pids: readonly number[]): Promise<(pid: number) => Activity>;
  /**
   * Terminates backends whose client is gone, which frees their locks. Ignores those of other programs. Never rejects.
   */
  end(pids: readonly number[]): Promise<void>;
  close(): void;
}

export interface ActivityConnection {
  readonly sql: postgres.Sql;
  /** Closes the connection at once, even while it waits for a response. */
  destroy(): void;
}

/** Enough to open a connection to a busy server and get a response. */
const timeoutMs = 2_000;
/** An open connection that takes longer may be as dead as those in question, so a new one is opened. */
const reuseTimeoutMs = 300;

/**
 * `connect` opens a connection for one query at a time, with the same user and application name as those in question.
 */
export function createBackendActivity(connect: () => ActivityConnection): BackendActivity {
  let connection: ActivityConnection | undefined;

  async function run<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    if (connection !== undefined) {
      try {
        return await runOn(connection, work, reuseTimeoutMs);
      } catch (error) {
        if (isServerError(error)) throw error;
      }
    }
    connection ??= connect();
    return runOn(connection, work, timeoutMs);
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
        if (isServerError(error)) return () => 'unknown';
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

/** Whether PostgreSQL is reachable but rejects the connection, because it is full or starting. */
function isServerError(error: unknown): boolean {
  return !isConnectionError(error) && error instanceof Error && 'severity' in error;
}

/** By now the process id may belong to a session of another program. */
const isOurs = `application_name = current_setting('application_name') and usename = session_user`;

/** Without parameters, because the driver would prepare a statement with parameters. */
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
