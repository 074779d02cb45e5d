/** A PostgreSQL that the proof stops and starts on the same port. Nothing restarts it, unlike the embedded one. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { findAccount } from '../../../src/db/embedded/account.ts';
import { findBinaries } from '../../../src/db/embedded/binaries.ts';
import { clusterFolder, databaseName, openCluster } from '../../../src/db/embedded/cluster.ts';
import { urlOf } from '../../../src/db/embedded/ownership.ts';
import { startPostmaster } from '../../../src/db/embedded/postmaster.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { freePort } from '../ports.ts';

export interface ProofPostgres {
  readonly url: string;
  /** Runs statements as the superuser in another database, one after the other. */
  run(...statements: string[]): Promise<void>;
  /** Runs statements in the database of the program. */
  runInDatabase(...statements: string[]): Promise<void>;
  /** Opens connections until there are no more. Returns a function that closes them. */
  useUpConnections(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops its processes (SIGSTOP). */
  freeze(): void;
  thaw(): void;
  /** Stops it, and removes its folder. */
  end(): Promise<void>;
}

export async function startProofPostgres(): Promise<ProofPostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), 'strata-proof-'));
  const log = createLogger({ level: 'CRITICAL', destination: { write() {}, flush: async () => {} } });
  const account = await findAccount(clusterFolder(dataDir));
  const binaries = await findBinaries(account);
  const cluster = await openCluster({ dataDir, binaries, account, durable: false });
  const port = await freePort();
  const open = () =>
    startPostmaster({ binaries, cluster, port, owner: `${process.pid}:proof`, durable: false, log });
  let postmaster = await open();
  const connect = (database = 'postgres') =>
    postgres(urlOf(cluster.password, port, database), { max: 1, onnotice: () => {} });

  async function runIn(database: string, statements: readonly string[]): Promise<void> {
    const sql = connect(database);
    try {
      for (const statement of statements) await sql.unsafe(statement);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }

  const run = (...statements: string[]) => runIn('postgres', statements);
  const signal = (name: NodeJS.Signals) => {
    for (const pid of treeOf(postmaster.pid)) process.kill(pid, name);
  };
  await run(`create database ${databaseName}`);
  return {
    url: urlOf(cluster.password, port, databaseName),
    run,
    runInDatabase: (...statements) => runIn(databaseName, statements),
    async useUpConnections() {
      const hogs: postgres.Sql[] = [];
      for (;;) {
        const hog = connect();
        hogs.push(hog);
        try {
          await hog`select 1`;
        } catch {
          break;
        }
      }
      return async () => void (await Promise.all(hogs.map((hog) => hog.end({ timeout: 1 }))));
    },
    stop: () => postmaster.stop(),
    async start() {
      postmaster = await open();
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async end() {
      signal('SIGCONT');
      await postmaster.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The process and all processes that it started. */
export function treeOf(pid: number): number[] {
  let children: string[] = [];
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  } catch {
    return [];
  }
  return [pid, ...children.flatMap((child) => treeOf(Number(child)))];
}
