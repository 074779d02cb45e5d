/**
 * A program that starts the embedded PostgreSQL of the folder it is given and holds it, so that a test can kill it.
 * Writes its log to standard output and a refusal to standard error. It stops in order at SIGTERM, and when standard
 * input ends, which it does with the test; at SIGUSR2 it just exits.
 */

import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { createLogger } from '../../src/observability/logger.ts';

const log = createLogger({
  level: 'INFO',
  destination: { write: (line) => void process.stdout.write(line), flush: () => Promise.resolve() },
});
// Before the start, which the test waits for and may answer at once.
process.on('SIGUSR2', () => process.exit(0));
try {
  const embedded = await startEmbedded({ dataDir: process.argv[2] ?? '', log, durable: false });
  const stop = () => void embedded.stop().then(() => process.exit(0));
  process.on('SIGTERM', stop);
  process.stdin.on('end', stop).resume();
} catch (error) {
  process.stderr.write(error instanceof Error ? `${error.name}: ${error.message}\n` : String(error));
  process.exit(1);
}
