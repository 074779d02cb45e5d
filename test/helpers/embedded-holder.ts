/**
 * A program that starts the embedded PostgreSQL of the folder it is given and holds it, so that a test can kill it.
 * Writes its log to standard output and a refusal to standard error. SIGTERM stops in order; SIGUSR2 just exits.
 */

import { startEmbedded } from '../../src/db/embedded.ts';
import { createLogger } from '../../src/observability/logger.ts';

const log = createLogger({
  level: 'INFO',
  destination: { write: (line) => void process.stdout.write(line), flush: () => Promise.resolve() },
});
try {
  const embedded = await startEmbedded({ dataDir: process.argv[2] ?? '', log, durable: false });
  process.on('SIGTERM', () => void embedded.stop().then(() => process.exit(0)));
  process.on('SIGUSR2', () => process.exit(0));
} catch (error) {
  process.stderr.write(error instanceof Error ? `${error.name}: ${error.message}\n` : String(error));
  process.exit(1);
}
