/** A durable PostgreSQL for the proof that can be crashed like a power failure. It restarts on its own. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectDatabase, type Database } from '../../../src/db/database.ts';
import { startEmbedded } from '../../../src/db/embedded/embedded.ts';
import { migrateUp } from '../../../src/db/migrations/migrate.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { until } from '../until.ts';

export interface ProofDatabase {
  readonly url: string;
  readonly sql: Database['sql'];
  readonly transaction: Database['transaction'];
  /** The process id of the server. */
  pid(): number;
  /** Kills all processes of PostgreSQL, and resolves when it accepts connections again. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export async function openProofDatabase(): Promise<ProofDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-proof-'));
  let postmaster = 0;
  const destination = {
    write(line: string) {
      const { event, pid } = JSON.parse(line);
      if (event === 'database.embedded.started') postmaster = pid;
    },
    flush: async () => {},
  };
  const log = createLogger({ level: 'INFO', destination });
  const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log });
  await migrateUp({ url: embedded.url, log });
  const database = connectDatabase({
    url: embedded.url,
    poolSize: 4,
    statementTimeoutMs: 0,
    connectTimeoutSeconds: 5,
    slowQueryMs: 60_000,
    echo: false,
    log,
    applicationName: 'proof',
  });
  return {
    url: embedded.url,
    sql: database.sql,
    transaction: database.transaction,
    pid: () => postmaster,
    async crash() {
      const previous = postmaster;
      process.kill(previous, 'SIGQUIT');
      await until('PostgreSQL has restarted', () => postmaster !== previous, 30_000);
    },
    async stop() {
      await database.close(2);
      await embedded.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
