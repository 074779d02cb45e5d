/**
 * A real PostgreSQL that this program brings along and runs itself, so that a fresh clone starts with one command.
 * It is for development, tests and small installations on one machine; production names a server of its own.
 *
 *     account ──> binaries ──> cluster ──> clear ──> postmaster ──> ownership ──> running ──> stopped
 *     (root may   (npm        (initdb,     (orphan    (free port,    (lock,         │  ▲
 *      not run    package)     password)    stopped)   ready)         database)     ▼  │
 *      it)                                    ▲            │                      ended unasked:
 *                                             └────────────┘                      again, ever later
 *                                           port taken, or another was faster
 *
 * What may fail at any point, and what holds then:
 * - Killed while initialising: `cluster` exists only when complete; the rest is removed by the next start.
 * - Killed while running (`kill -9`): PostgreSQL runs on without an owner. The next start stops it, in order, and
 *   starts its own. Never are two at work in one folder: PostgreSQL's own lock file sees to that.
 * - Two start at once: one runs, the other ends with a StartError that names the first (`ownership.ts`).
 * - PostgreSQL dies under us: it is started again on the same port, so that the pool finds it.
 * - It listens on 127.0.0.1 only, behind a random password that lies in a file of mode 0600 and is never logged.
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
  adviceOn,
  clusterFolder,
  databaseName,
  isEmptyLockFile,
  openCluster,
  readPassword,
} from './cluster.ts';
import { clearFolder, readLastPort, readPostmasterFile, takeOwnership, urlOf } from './ownership.ts';
import { type Postmaster, PostmasterBusyError, startPostmaster } from './postmaster.ts';
import { classifyProcess, identifyProcess } from './process.ts';

export interface EmbeddedOptions {
  /** The folder for its files, made if it is not there. No other program may write in it. */
  readonly dataDir: string;
  readonly log: Logger;
  /** Whether committed data survives a loss of power; true unless said. Without it, everything is faster. */
  readonly durable?: boolean;
}

export interface EmbeddedDatabase {
  /** The URL of the program's database, with the password. */
  readonly url: string;
  /** Stops PostgreSQL, and resolves when it has ended. Close the connections first. Idempotent. */
  stop(): Promise<void>;
}

const restartBackoff: Backoff = { baseMs: 200, maxMs: 10_000 };

/** Starts the PostgreSQL of a folder. Throws a StartError with a sentence for everything the operator can mend. */
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
  let ownership = await own().catch(async (cause) => {
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
      await clearFolder(cluster, log);
      port = await findFreePort(await readLastPort(cluster.folder));
      try {
        return await open(port);
      } catch (error) {
        if (!(error instanceof PostmasterBusyError)) throw error;
        const words = error.message;
        if (attempt >= (isEmptyLockFile(words) ? 8 : 20)) {
          throw new StartError(`PostgreSQL did not start: ${words}.${adviceOn(words, cluster.folder)}`, {
            cause: error,
          });
        }
        await delay(50);
      }
    }
  }

  async function own() {
    const current = postmaster;
    let running = true;
    void current.ended.then(() => {
      running = false;
    });
    return takeOwnership(urlOf(cluster.password, port, 'postgres'), () => running);
  }

  /** Starts PostgreSQL again whenever it ends unasked, on the same port, until it is stopped. */
  async function supervise(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const startedAt = performance.now();
      const how = await postmaster.ended;
      if (stopped.signal.aborted) return;
      log.error('database.embedded.exited', { pid: postmaster.pid, how });
      await ownership.release();
      // After a minute that went well, this is no longer the same trouble.
      if (performance.now() - startedAt > 60_000) attempt = 1;
      attempt = await restart(attempt);
    }
  }

  /** Tries until it runs, or is stopped, and returns the number of the last attempt. */
  async function restart(firstAttempt: number): Promise<number> {
    for (let attempt = firstAttempt; ; attempt += 1) {
      const pause = backoffDelay(attempt, restartBackoff, Math.random);
      await delay(pause, undefined, { signal: stopped.signal }).catch(() => {});
      if (stopped.signal.aborted) return attempt;
      try {
        postmaster = await open(port);
        ownership = await own();
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
    // A restart may have been under way.
    await postmaster.stop();
    log.info('database.embedded.stopped', { pid: postmaster.pid });
  }
}

/** The URL of the program's database in a folder where another process runs it now; undefined if none does. */
export async function findRunningEmbedded(dataDir: string): Promise<string | undefined> {
  const folder = clusterFolder(resolve(dataDir));
  const found = await readPostmasterFile(folder);
  const password = await readPassword(resolve(dataDir));
  if (found === undefined || password === undefined) return undefined;
  if ((await classifyProcess(found.pid, folder)) !== 'ours') return undefined;
  return urlOf(password, found.port, databaseName);
}

/**
 * A port of this machine on which nothing listens at the moment: `wanted`, if that is one. So whoever was connected
 * beside us, such as `npm run worker`, finds the database again after a restart.
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
  if (address === null || typeof address === 'string') throw new Error('The system gave a server no port.');
  return address.port;
}
