/**
 * The session of a runner: one connection straight to PostgreSQL, which holds the runner's lock, hears NOTIFY, and asks
 * what there is to do. Nothing else goes over it, so nothing holds it up.
 *
 *     connect ──> a backend of its own? ──> number, lock and row ──> row seen where ──> LISTEN ──> open ──polls──> over
 *                        │                                           jobs are claimed?             └─ close(): the row
 *                        └─ no: StartError                                 └─ no: StartError          goes first
 *
 * - Whoever the number belongs to is decided by PostgreSQL alone: the lock is free when the backend has ended, and
 *   that is when the connection is closed, its process killed, or its cable pulled for about 15 s (`sessionSettings`).
 * - It is over once, for good: the driver would open another connection for the next query, and that one would hold no
 *   lock. So the first sign of an end, also a poll without an answer, ends it, and no query is sent any more.
 * - It holds no transaction open, which would keep VACUUM from the whole database.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { sqlState } from '../../db/database-error.ts';
import { serverKeepAlive } from '../../db/driver/connection-options.ts';
import { connectDirectly, type DirectConnection } from '../../db/driver/direct-connection.ts';
import { usesTransactionPooling } from '../../db/driver/pooler.ts';
import type { Sql } from '../../db/sql.ts';
import { StartError } from '../../errors.ts';
import { availableChannel, cancelChannel } from '../channels.ts';
import {
  endFormerSession,
  isRegistered,
  type Poll,
  pollSession,
  type RunnerProcess,
  registerQueues,
  registerRunner,
  unregisterRunner,
} from './runner-store.ts';

export interface SessionOptions {
  /** A direct `postgres://` URL, of the database that has the jobs. */
  readonly url: string;
  readonly applicationName: string;
  readonly connectTimeoutSeconds: number;
  readonly process: RunnerProcess;
  /** Where jobs are claimed and recorded, if by another URL. It must be the same database. */
  readonly jobs: Sql | null;
  /** The number that this process had before; 0 for none. Should its session have outlived the connection, it is ended. */
  readonly former: number;
  /** The queues it asks about. */
  readonly queues: readonly string[];
  /** Told when a job can be claimed. */
  readonly onAvailable: () => void;
  /** Told the id of a running job, of any runner, that is to be cancelled. */
  readonly onCancel: (id: number) => void;
}

export interface Session {
  /** The number of the runner: what its jobs carry. */
  readonly runner: number;
  /** Resolves when it is over, for whatever reason. */
  readonly over: Promise<void>;
  isOver(): boolean;
  /** Rejects with the driver's errors; without an answer in time it also ends the session. One at a time. */
  poll(): Promise<Poll>;
  /** Takes the runner's row away, unless it still has jobs, and ends the session. Never rejects. */
  close(): Promise<void>;
}

/** How long a poll, or the opening, may take before the connection counts as broken: as long as PostgreSQL waits for ours. */
const answerMs = 15_000;
const closeMs = 2_000;

/** What PostgreSQL says of a database in which the tables were never made. */
const undefinedTable = '42P01';

/**
 * A poll that takes longer than any should is ended, and a quiet session is not. Set by a query, because a pooler refuses
 * them at the start.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  ...serverKeepAlive,
  statement_timeout: '10000',
  idle_session_timeout: '0',
};

/** Rejects with a StartError behind a pooler of transactions or in another database, else with the driver's errors. */
export async function openSession(options: SessionOptions): Promise<Session> {
  let isOver = false;
  const over = createDeferred();
  const connection = connectDirectly({
    ...options,
    onClose: () => end(),
    onNotify: (channel, payload) =>
      channel === cancelChannel ? options.onCancel(Number(payload)) : options.onAvailable(),
  });
  let endPoll = (_error: Error) => {};
  const end = () => {
    if (isOver) return;
    isOver = true;
    endPoll(new Error('The session ended before the poll had an answer.'));
    void connection.end({ timeout: 0 });
    over.resolve();
  };

  try {
    const runner = await within(answerMs, becomeRunner(connection, options), end);
    return {
      runner,
      over: over.promise,
      isOver: () => isOver,
      async poll() {
        if (isOver) throw new Error('The session of the runner is over.');
        // The driver tells nobody of a query that it sent in the moment when the connection broke.
        const broken = createDeferred<never>();
        endPoll = broken.reject;
        const polled = pollSession(connection, { runner, queues: options.queues });
        return within(answerMs, Promise.race([polled, broken.promise]), end);
      },
      async close() {
        if (isOver) return;
        await within(closeMs, unregisterRunner(connection, { runner }), end).catch(() => {});
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
      'Jobs cannot run through a pooler that lends a connection by the transaction, because their runner holds a lock in its session: set APP_TASKS_BROKER_URL to a postgres:// URL that leads to PostgreSQL directly.',
    );
  }
  await connection`
    select set_config(name, value, false)
    from unnest(${Object.keys(sessionSettings)}::text[], ${Object.values(sessionSettings)}::text[])
      as wanted (name, value)`;
  if (options.former !== 0) await endFormerSession(connection, options.former);
  const runner = await registerWhereJobsAre(connection, options);
  await registerQueues(connection, options.queues);
  for (const channel of [availableChannel, cancelChannel]) await connection`listen ${connection(channel)}`;
  return runner;
}

/**
 * A lock in another database would protect nothing, and its runner would hear of no job. Whatever the reason is to give
 * up, no row is left behind; and if that could be deleted, the session lives, so nobody else took it away.
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
    'APP_TASKS_BROKER_URL and APP_DATABASE_URL lead to different databases, so jobs cannot run: set APP_TASKS_BROKER_URL to a URL that leads to the database of APP_DATABASE_URL directly.',
  );
}

/** Settles as the work does; calls `onLate` and rejects if it has not in time. */
function within<T>(ms: number, work: Promise<T>, onLate: () => void): Promise<T> {
  return withTimeout(work, ms, () => {
    onLate();
    throw new Error(`The database did not answer within ${ms} ms.`);
  });
}
