/**
 * The session of a runner: a direct connection to PostgreSQL that holds the runner's lock, receives NOTIFY, and polls.
 * No other statement uses it, so nothing can delay it.
 *
 *     connect ──> a backend of its own? ──> number, lock and row ──> row visible where jobs are claimed? ──> LISTEN ──> open
 *                        └─ no: StartError                                └─ no: StartError
 *
 *     open ──polls──> open ──connection broken, or close(), which deletes the row──> closed
 *
 * - PostgreSQL alone decides who owns a number: the lock is free once the backend has exited. That happens when the
 *   connection is closed, its process is killed, or its network has been down for about 15 s (`sessionSettings`).
 * - A session closes once and stays closed. The driver would open another connection for the next query, without the
 *   lock; so the first sign of a broken connection, including an unanswered poll, closes the session, and no query is
 *   sent after.
 * - It never leaves a transaction open, which would prevent VACUUM from cleaning the whole database.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { sqlState } from '../../db/database-error.ts';
import { serverKeepAlive } from '../../db/driver/connection-options.ts';
import { connectDirectly, type DirectConnection } from '../../db/driver/direct-connection.ts';
import { usesTransactionPooling } from '../../db/driver/pooler.ts';
import type { Sql } from '../../db/sql.ts';
import { StartError } from '../../errors.ts';
import { availableChannel, cancelChannel } from '../store.ts';
import {
  isRegistered,
  type Poll,
  pollSession,
  type RunnerProcess,
  registerQueues,
  registerRunner,
  terminatePreviousSession,
  unregisterRunner,
} from './runner-store.ts';

export interface SessionOptions {
  /** A direct `postgres://` URL of the database that has the jobs. */
  readonly url: string;
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  readonly process: RunnerProcess;
  /** Connections that claim and record jobs, if they use another URL. They must lead to the same database. */
  readonly jobs: Sql | null;
  /** The number of this process's previous session, which is terminated if PostgreSQL still has it; 0 if there is none. */
  readonly previousRunner: number;
  /** The queues that it polls. */
  readonly queues: readonly string[];
  /** Called when a job can be claimed. */
  readonly onAvailable: () => void;
  /** Called with the id of a running job, of any runner, that must be cancelled. */
  readonly onCancel: (id: number) => void;
}

export interface Session {
  /** The number of the runner, which its running jobs carry. */
  readonly runner: number;
  /** Resolves when the session has closed, for whatever reason. */
  readonly closed: Promise<void>;
  isClosed(): boolean;
  /** Rejects with the driver's errors. Closes the session if no answer arrives in time. One poll at a time. */
  poll(): Promise<Poll>;
  /** Deletes the runner's row, unless it still has jobs, and closes the session. Never rejects. */
  close(): Promise<void>;
}

/** A poll or the opening that takes longer counts as a broken connection; PostgreSQL waits as long for this side. */
const answerMs = 15_000;
const closeMs = 2_000;

/** The SQLSTATE of a database that was never migrated: `undefined_table`. */
const undefinedTable = '42P01';

/**
 * PostgreSQL cancels a poll that takes too long, and keeps an idle session. Set by a statement, because poolers reject
 * these as startup parameters.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  ...serverKeepAlive,
  statement_timeout: '10000',
  idle_session_timeout: '0',
};

/** Rejects with a StartError behind a transaction pooler or in another database, else with the driver's errors. */
export async function openRunnerSession(options: SessionOptions): Promise<Session> {
  let isClosed = false;
  const closed = createDeferred();
  let rejectPoll = (_error: Error) => {};
  const connection = connectDirectly({
    ...options,
    onClose: () => end(),
    onNotify: (channel, payload) =>
      channel === cancelChannel ? options.onCancel(Number(payload)) : options.onAvailable(),
  });
  const end = () => {
    if (isClosed) return;
    isClosed = true;
    rejectPoll(new Error('The session closed before the poll was answered.'));
    void connection.end({ timeout: 0 });
    closed.resolve();
  };

  try {
    const runner = await answerOf(becomeRunner(connection, options), answerMs, end);
    return {
      runner,
      closed: closed.promise,
      isClosed: () => isClosed,
      async poll() {
        if (isClosed) throw new Error('The session of the runner has closed.');
        // The driver never settles a query that it sent at the moment when the connection broke.
        const broken = createDeferred<never>();
        rejectPoll = broken.reject;
        const polled = pollSession(connection, { runner, queues: options.queues });
        return answerOf(Promise.race([polled, broken.promise]), answerMs, end);
      },
      async close() {
        if (isClosed) return;
        await answerOf(unregisterRunner(connection, { runner }), closeMs, end).catch(() => {});
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}

async function becomeRunner(connection: DirectConnection, options: SessionOptions): Promise<number> {
  const { url, applicationName, connectTimeoutSeconds } = options;
  const another = () => connectDirectly({ url, applicationName, connectTimeoutSeconds });
  if (await usesTransactionPooling(connection, another)) {
    throw new StartError(
      'Jobs cannot run through a transaction pooler, because their runner holds a lock in its session: set APP_TASKS_BROKER_URL to a postgres:// URL that leads to PostgreSQL directly.',
    );
  }
  await connection`
    select set_config(name, value, false)
    from unnest(${Object.keys(sessionSettings)}::text[], ${Object.values(sessionSettings)}::text[])
      as wanted (name, value)`;
  if (options.previousRunner !== 0) await terminatePreviousSession(connection, options.previousRunner);
  const runner = await registerWhereJobsAre(connection, options);
  await registerQueues(connection, options.queues);
  for (const channel of [availableChannel, cancelChannel]) await connection`listen ${connection(channel)}`;
  return runner;
}

/**
 * Registers the runner, and throws a StartError unless its row is visible where jobs are claimed: a lock in another
 * database protects nothing, and its runner receives no notifications. Leaves no row behind when it throws.
 */
async function registerWhereJobsAre(
  connection: DirectConnection,
  { jobs, process }: SessionOptions,
): Promise<number> {
  if (jobs === null) return registerRunner(connection, process);
  let runner = 0;
  try {
    runner = await registerRunner(connection, process);
  } catch (error) {
    if (sqlState(error) !== undefinedTable) throw error;
  }
  let isSeen = false;
  try {
    isSeen = await isRegistered(jobs, runner, process);
  } finally {
    if (!isSeen && runner !== 0) await unregisterRunner(connection, { runner });
  }
  if (isSeen) return runner;
  throw new StartError(
    'APP_TASKS_BROKER_URL and APP_DATABASE_URL lead to different databases, so jobs cannot run: set APP_TASKS_BROKER_URL to a URL that leads directly to the database of APP_DATABASE_URL.',
  );
}

/** Settles as `work` does. Without an answer in time, calls `onTimeout` and rejects. */
function answerOf<T>(work: Promise<T>, ms: number, onTimeout: () => void): Promise<T> {
  return withTimeout(work, ms, () => {
    onTimeout();
    throw new Error(`The database did not answer within ${ms} ms.`);
  });
}
