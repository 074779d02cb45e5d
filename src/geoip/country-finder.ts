/**
 * Finds the country of an address, and replaces the database when its file changes:
 *
 *     every second: has the file changed?  ->  is it still the same a second later?  ->  open and check it
 *                                                                                          |
 *               lookups use the old database until then      <-  invalid: log, keep the old one
 *                                                            <-  valid: one assignment, and an empty cache
 *
 * With `copyPath`, each database in use is copied there. A process that starts while the file is invalid, such as a worker that
 * replaces one that has died, uses the copy: the others use that database too.
 *
 * Waiting for the second look keeps a file that is still being written from being opened. The file is looked at by name
 * (`stat`) and not watched, because watching does not see changes on network file systems, nor the symbolic links of
 * Kubernetes volumes.
 *
 * Found countries are cached by address, because a lookup costs about 0.7 microseconds for IPv4 and 1.6 for IPv6, recognising
 * a private address 4 and more, and the cache 0.06. It keeps the addresses of two generations; the younger one is full after
 * `generation` addresses, and replaces the older one.
 */

import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode } from '../errors.ts';
import { createAddressSet, privateRanges } from '../http/connection/addresses.ts';
import type { Logger } from '../observability/logger.ts';
import { openCountryDatabase } from './country-database.ts';
import { DatabaseInvalid } from './database-check.ts';

/** Returns the country of an address: a code of ISO 3166-1 alpha-2, `private`, or `unknown`. */
export type FindCountry = (address: string) => string;

export interface CountryFinder {
  readonly find: FindCountry;
  /** Returns when the database in use was built. */
  builtAt(): Date;
  /** Stops watching the file. Idempotent. */
  stop(): Promise<void>;
}

export interface CountryFinderOptions {
  readonly path: string;
  readonly log: Logger;
  /** The copy of the database in use, for processes that start later. By default there is none. */
  readonly copyPath?: string | undefined;
  /** Whether to start with the copy if the file is invalid. */
  readonly mayUseCopy?: boolean;
  /** The time between two looks at the file. Default: 1 s. */
  readonly pollMs?: number;
}

const defaultPollMs = 1_000;
/** The number of addresses in one generation of the cache, which has two: about 2 MB. */
const generation = 5_000;

/** Rejects with a DatabaseInvalid if the file is not a usable database. */
export async function openCountryFinder(options: CountryFinderOptions): Promise<CountryFinder> {
  const { path, log, copyPath, mayUseCopy = false, pollMs = defaultPollMs } = options;
  const isPrivate = createAddressSet(privateRanges);
  const stopping = new AbortController();
  let loadedState = await readState(path);
  let database = await openCountryDatabase(path).catch(async (error: unknown) => {
    if (copyPath === undefined || !mayUseCopy || !(error instanceof DatabaseInvalid)) throw error;
    const copied = await openCountryDatabase(copyPath).catch(() => undefined);
    if (copied === undefined) throw error;
    logRejected(error);
    return copied;
  });
  let young = new Map<string, string>();
  let old = new Map<string, string>();
  logLoaded();
  /** In the background: the check of the copy takes a tenth of a second. */
  let copying = keepCopy();
  const watching = watch();

  function logRejected(error: unknown): void {
    log.error('geoip.database_rejected', {
      path,
      ...(error instanceof DatabaseInvalid ? { reason: `The file ${error.message}.` } : { error }),
      advice: 'The server keeps using the previous database. Replace the file with a valid one.',
    });
  }

  /** Never rejects: without a copy, only a process that starts while the file is invalid fails. */
  async function keepCopy(): Promise<void> {
    if (copyPath === undefined || loadedState !== (await readState(path))) return;
    const unfinished = `${copyPath}.${process.pid}`;
    try {
      await mkdir(dirname(copyPath), { recursive: true });
      await copyFile(path, unfinished);
      // The file may have been replaced meanwhile.
      await openCountryDatabase(unfinished);
      await rename(unfinished, copyPath);
    } catch {
      await rm(unfinished, { force: true }).catch(() => {});
    }
  }

  function logLoaded(): void {
    const { type, bytes, builtAt } = database;
    log.info('geoip.database_loaded', { path, type, bytes, built_at: builtAt.toISOString() });
  }

  async function watch(): Promise<void> {
    let seenState = loadedState;
    while (!stopping.signal.aborted) {
      await delay(pollMs, undefined, { ref: false, signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      const state = await readState(path);
      if (state !== loadedState && state === seenState) await replace(state);
      seenState = state;
    }
  }

  async function replace(state: string): Promise<void> {
    // A rejected file is not opened again before it changes.
    loadedState = state;
    try {
      database = await openCountryDatabase(path);
      young = new Map();
      old = new Map();
      logLoaded();
    } catch (error) {
      logRejected(error);
      return;
    }
    await copying;
    copying = keepCopy();
  }

  function findUncached(address: string): string {
    // The address of a client that has disconnected is empty.
    if (isIP(address) === 0) return 'unknown';
    return isPrivate(address) ? 'private' : (database.find(address) ?? 'unknown');
  }

  return {
    find(address) {
      const known = young.get(address);
      if (known !== undefined) return known;
      const country = old.get(address) ?? findUncached(address);
      if (young.size >= generation) {
        old = young;
        young = new Map();
      }
      young.set(address, country);
      return country;
    },
    builtAt: () => database.builtAt,
    async stop() {
      stopping.abort();
      await watching;
      await copying;
    },
  };
}

/** Returns a text that changes with the file; the code of the error if it cannot be seen. */
async function readState(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino}:${size}:${mtimeMs}`;
  } catch (error) {
    return systemErrorCode(error) ?? 'unknown';
  }
}
