/**
 * Determines which process owns the PostgreSQL that runs in a data folder. The facts, from the strongest:
 *
 * 1. PostgreSQL itself lets only one postmaster run in a folder (`postmaster.pid`). Of two that start at once, one
 *    fails and checks again.
 * 2. The owner is named on the postmaster's command line (`cluster_name=strata:pid:start`), from its first moment.
 * 3. The owner holds an advisory lock in a session of its own, as long as it lives. The lock is released when the
 *    process exits, in whatever way; there is no timeout that could be too short.
 *
 *     no postmaster ────────────────────────────────────────────────> free
 *     postmaster, lock held ────────────────────────────────────────> in use
 *     postmaster, lock free, the named owner is alive ──────────────> in use (it is starting or restarting)
 *     postmaster, lock free, the named owner is gone ───────────────> orphan: stopped by the process that got its lock, then free
 *     postmaster that accepts no connections (starting, stopping) ──> wait, check again
 *     a process that is no postmaster of this folder ───────────────> free; the process is left alone
 */

import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { connectDirectly, type DirectConnection } from '../driver/direct-connection.ts';
import { type Cluster, databaseName } from './cluster.ts';
import { classifyProcess, identifyProcess } from './process.ts';

/** The advisory lock of the owner: a number that nothing else in the database `postgres` uses. */
const ownerLock = 5_728_314;

/** How long a postmaster may accept no connections, or not exit, before the start fails. */
const timeoutMs = 60_000;

export interface PostmasterFile {
  readonly pid: number;
  readonly port: number;
}

/** Returns the first and fourth line of `postmaster.pid`, or undefined if the file is missing or incomplete. */
export async function readPostmasterFile(folder: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  return pid > 0 && port > 0 ? { pid, port } : undefined;
}

/**
 * Returns the port of the last start, which PostgreSQL keeps in `postmaster.opts`; undefined before its first start.
 */
export async function readLastPort(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, 'postmaster.opts'), 'utf8').catch(() => '');
  const port = Number(/"-p" "(\d+)"/.exec(text)?.[1]);
  return port > 0 ? port : undefined;
}

/** Returns the URL of a database of the PostgreSQL on a port of this machine. */
export function urlOf(password: string, port: number, database: string): string {
  return `postgres://${databaseName}:${password}@127.0.0.1:${port}/${database}`;
}

/**
 * Returns when no PostgreSQL runs in the cluster's folder, after stopping one whose owner is gone. Throws a StartError
 * if the folder is in use.
 */
export async function stopOrphan(cluster: Cluster, log: Logger): Promise<void> {
  const timeout = AbortSignal.timeout(timeoutMs);
  for (;;) {
    const found = await readPostmasterFile(cluster.folder);
    if (found === undefined) return;
    const kind = await classifyProcess(found.pid, cluster.folder);
    if (kind === 'gone') return;
    if (kind === 'other') return invalidatePostmasterFile(cluster.folder, found.pid);

    const answer = await readOwner(cluster, found, timeout, log);
    if (answer.state === 'owned') throw inUseError(cluster.folder, answer.owner);
    if (answer.state === 'unreachable' && kind === 'unknown') return; // PostgreSQL checks its own lock file.
    if (timeout.aborted) {
      throw new StartError(
        `The PostgreSQL with the process id ${found.pid} in ${cluster.folder} neither responds nor exits: stop it, and start again.`,
      );
    }
    await delay(50);
  }
}

function inUseError(folder: string, owner: string): StartError {
  return new StartError(
    `The database in ${folder} is in use by another running Strata (process id ${Number.parseInt(owner, 10)}): stop that one first, or set APP_DATA_DIR to another folder.`,
  );
}

type Answer =
  | { readonly state: 'unreachable' | 'stopped' }
  | { readonly state: 'owned'; readonly owner: string };

/** Asks the running PostgreSQL for its owner. The process that gets the lock of an orphan stops it. */
async function readOwner(
  cluster: Cluster,
  { pid, port }: PostmasterFile,
  timeout: AbortSignal,
  log: Logger,
): Promise<Answer> {
  const session = openOwnerSession(urlOf(cluster.password, port, 'postgres'));
  try {
    const [row] = await session`
      select pg_try_advisory_lock(${ownerLock}) as locked, current_setting('cluster_name') as name`;
    const owner = String(row?.name).replace(/^strata:/, '');
    const ownerPid = Number.parseInt(owner, 10);
    if (row?.locked !== true || (await identifyProcess(ownerPid)) === owner) return { state: 'owned', owner };

    log.warning('database.embedded.orphan', { pid, owner_pid: ownerPid });
    process.kill(pid, 'SIGINT');
    while ((await classifyProcess(pid, cluster.folder)) === 'ours' && !timeout.aborted) await delay(20);
    return { state: 'stopped' };
  } catch {
    return { state: 'unreachable' };
  } finally {
    await session.end({ timeout: 0 });
  }
}

/**
 * Makes PostgreSQL ignore a `postmaster.pid` whose process id now belongs to another program. PostgreSQL treats the id
 * of its own parent as a reused number, so the current process id is written there. The other lines remain, because
 * PostgreSQL uses them to find leftover child processes.
 */
async function invalidatePostmasterFile(folder: string, pid: number): Promise<void> {
  const file = await open(join(folder, 'postmaster.pid'), 'r+').catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (file === undefined) return; // It was about to exit, and has exited.
  try {
    const [first, ...rest] = (await file.readFile('utf8')).split('\n');
    if (Number(first) !== pid) return; // Another process has started PostgreSQL meanwhile.
    const text = [process.pid, ...rest].join('\n');
    await file.truncate();
    await file.write(text, 0);
  } finally {
    await file.close();
  }
}

export interface Ownership {
  /** Releases the lock. */
  release(): Promise<void>;
}

/**
 * Acquires the lock on the PostgreSQL that this process has just started, and keeps it: when the session is lost,
 * acquires it again. Creates the program's database if it is missing. `isRunning` returns whether PostgreSQL still
 * runs.
 */
export async function acquireOwnership(url: string, isRunning: () => boolean): Promise<Ownership> {
  let released = false;
  const session = openOwnerSession(url, () => void keepLock());
  // It waits: another starting process may hold the lock for a moment, to find out who the owner is.
  const lock = async () => void (await session`select pg_advisory_lock(${ownerLock})`);
  const keepLock = async () => {
    while (!released && isRunning()) {
      try {
        return await lock();
      } catch {
        await delay(200);
      }
    }
  };
  await lock();
  const [existing] = await session`select from pg_database where datname = ${databaseName}`;
  if (existing === undefined) await session`create database ${session(databaseName)}`;
  return {
    async release() {
      released = true;
      await session.end({ timeout: 0 });
    },
  };
}

function openOwnerSession(url: string, onClose: () => void = () => {}): DirectConnection {
  return connectDirectly({ url, applicationName: 'strata owner', connectTimeoutSeconds: 10, onClose });
}
