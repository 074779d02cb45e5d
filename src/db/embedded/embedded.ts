/**
 * A real PostgreSQL that this program installs and runs itself, so that a fresh clone starts with one command. It is
 * for development, tests and small installations on one machine. In production, use a separate PostgreSQL server.
 *
 *     account ──> binaries ──> cluster ──> orphan ──> postmaster ──> ownership ──> running ──> stopped
 *     (root may   (npm        (initdb,     stopped    (free port,    (lock,         │  ▲
 *      not run    package)     password)      ▲        ready)         database)     ▼  │
 *      it)                                    │            │                      exited unexpectedly:
 *                                             └────────────┘                      restart, with growing delays
 *                                       port in use, or another process was faster
 *
 * Failures, and what remains true:
 * - Killed while initialising: `cluster` exists only when complete; the next start removes the rest.
 * - Killed while running (`kill -9`): PostgreSQL continues without an owner. The next start stops it in an orderly way
 *   and starts its own. Two never run in one folder: PostgreSQL's own lock file prevents that.
 * - Two processes start at once: one runs, the other exits with a StartError that names the first (`ownership.ts`).
 * - PostgreSQL crashes: it is restarted on the same port, so that the pool finds it again.
 * - It listens on 127.0.0.1 only. Its random password is in a file of mode 0600 and never in the log.
 */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { type Backoff, backoffDelay } from '../../resilience/retry.ts';
import { findAccount } from './account.ts';
import { findBinaries } from './binaries.ts';
import {
  adviceFor,
  clusterFolder,
  databaseName,
  isEmptyLockFile,
  openCluster,
  readDatabasePassword,
} from './cluster.ts';
import { acquireOwnership, readLastPort, readPostmasterFile, stopOrphan, urlOf } from './ownership.ts';
import { type Postmaster, PostmasterBusyError, startPostmaster } from './postmaster.ts';
import { classifyProcess, identifyProcess } from './process.ts';

export interface EmbeddedOptions {
  /** The folder for its files; it is created if it is missing. No other program may write to it. */
  readonly dataDir: string;
  readonly log: Logger;
  /** Whether committed data survives a loss of power. Default: true. Without it, everything is faster. */
  readonly durable?: boolean;
}

export interface EmbeddedDatabase {
  /** The URL of the program's database, with the password. */
  readonly url: string;
  /** Stops PostgreSQL, and resolves when it has exited. Close the connections first. Idempotent. */
  stop(): Promise<void>;
}

const restartBackoff: Backoff = { baseMs: 200, maxMs: 10_000 };

/** Starts PostgreSQL in a folder. Throws a StartError for everything that the operator can fix. */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const { log, durable = true } = options;
  const dataDir = resolve(options.dataDir);
  const startedAt = performance.now();
  const account = await findAccount(clusterFolder(dataDir));
  const binaries = await findBinaries(account);
  const cluster = await openCluster({ dataDir, binaries, account, durable });
  const owner = (await identifyProcess(process.pid)) ?? `${process.pid}:unknown`;
  const open = (port: number) => startPostmaster({ binaries, cluster, port, owner, durable, log });

  let port = 0;
  let postmaster = await startOnFreePort();
  let stopping: Promise<void> | undefined;
  const stopped = new AbortController();
  let ownership = await acquire().catch(async (cause) => {
    await postmaster.stop();
    throw new StartError(`The embedded PostgreSQL in ${dataDir} cannot be opened: ${reasonOf(cause)}.`, {
      cause,
    });
  });
  const supervision = supervise();
  log.info('database.embedded.started', {
    ...{ pid: postmaster.pid, port, data_dir: dataDir },
    duration_ms: Math.round(performance.now() - startedAt),
  });

  return {
    url: urlOf(cluster.password, port, databaseName),
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };

  async function startOnFreePort(): Promise<Postmaster> {
    for (let attempt = 1; ; attempt += 1) {
      await stopOrphan(cluster, log);
      port = await findFreePort(await readLastPort(cluster.folder));
      try {
        return await open(port);
      } catch (error) {
        if (!(error instanceof PostmasterBusyError)) throw error;
        const message = error.message;
        if (attempt >= (isEmptyLockFile(message) ? 8 : 20)) {
          throw new StartError(`PostgreSQL did not start: ${message}.${adviceFor(message, cluster.folder)}`, {
            cause: error,
          });
        }
        await delay(50);
      }
    }
  }

  async function acquire() {
    const current = postmaster;
    let running = true;
    void current.ended.then(() => {
      running = false;
    });
    return acquireOwnership(urlOf(cluster.password, port, 'postgres'), () => running);
  }

  /** Restarts PostgreSQL on the same port whenever it exits unexpectedly, until it is stopped. */
  async function supervise(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const startedAt = performance.now();
      const how = await postmaster.ended;
      if (stopped.signal.aborted) return;
      log.error('database.embedded.exited', { pid: postmaster.pid, how });
      await ownership.release();
      // After a minute without an exit, the delays start over.
      if (performance.now() - startedAt > 60_000) attempt = 1;
      attempt = await restart(attempt);
    }
  }

  /** Tries until PostgreSQL runs or is stopped. Returns the number of the last attempt. */
  async function restart(firstAttempt: number): Promise<number> {
    for (let attempt = firstAttempt; ; attempt += 1) {
      const pause = backoffDelay(attempt, restartBackoff, Math.random);
      await delay(pause, undefined, { signal: stopped.signal }).catch(() => {});
      if (stopped.signal.aborted) return attempt;
      try {
        postmaster = await open(port);
        ownership = await acquire();
        log.info('database.embedded.started', { pid: postmaster.pid, port, attempt });
        return attempt;
      } catch (error) {
        log.error('database.embedded.exited', { error });
        await postmaster.stop();
      }
    }
  }

  async function stop(): Promise<void> {
    stopped.abort();
    await ownership.release();
    await postmaster.stop();
    await supervision;
    // A restart may have been in progress.
    await postmaster.stop();
    log.info('database.embedded.stopped', { pid: postmaster.pid });
  }
}

/** Returns the URL of the database that another process runs in the folder, or undefined if none does. */
export async function findRunningEmbedded(dataDir: string): Promise<string | undefined> {
  const folder = clusterFolder(resolve(dataDir));
  const found = await readPostmasterFile(folder);
  const password = await readDatabasePassword(resolve(dataDir));
  if (found === undefined || password === undefined) return undefined;
  if ((await classifyProcess(found.pid, folder)) !== 'ours') return undefined;
  return urlOf(password, found.port, databaseName);
}

/**
 * Returns a free port of this machine: `wanted`, if that is free. So programs connected to the database of this
 * process, such as `npm run worker`, find it again after a restart.
 */
async function findFreePort(wanted = 0): Promise<number> {
  const server = createServer().listen(wanted, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if (wanted === 0) throw error;
    return findFreePort();
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string')
    throw new Error('The system assigned no port to the server.');
  return address.port;
}
