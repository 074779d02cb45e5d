import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { startEmbedded } from '../src/db/embedded/embedded.ts';
import { migrateUp } from '../src/db/migrations/migrate.ts';
import { createLogger } from '../src/observability/logger.ts';
import { signedInUser } from './bearer.ts';
import { seed } from './workload.ts';

export interface BenchDatabase {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * A PostgreSQL for this run, with the table that is read; it is gone afterwards. All variants read from the same one.
 * Throws a StartError where the embedded PostgreSQL cannot run.
 */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const destination = { write: (line: string) => void process.stderr.write(line), flush: async () => {} };
  const log = createLogger({ level: 'ERROR', destination });
  const embedded = await startEmbedded({ dataDir: join(folder, 'postgres'), log }).catch((error: unknown) => {
    remove();
    throw error;
  });
  const stop = async () => {
    await embedded.stop();
    remove();
  };
  const sql = postgres(embedded.url, { max: 1 });
  try {
    await migrateUp({ url: embedded.url, log });
    await sql.unsafe(seed);
    await sql.unsafe(signedInUser);
  } catch (error) {
    await stop();
    throw error;
  } finally {
    await sql.end();
  }
  return { url: embedded.url, stop };
}
