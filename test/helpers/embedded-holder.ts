/**
 * A program that starts the embedded PostgreSQL in the folder of its argument and owns it, so that a test can kill it.
 * It writes its log to standard output and a start error to standard error. It stops in an orderly way at SIGTERM, and
 * when standard input ends, which happens with the test. At SIGUSR2 it exits at once.
 */

import { startEmbedded } from '../../src/db/embedded/embedded.ts';
import { createLogger } from '../../src/observability/logger.ts';

const log = createLogger({
  level: 'INFO',
  destination: { write: (line) => void process.stdout.write(line), flush: () => Promise.resolve() },
});
// Installed before the start, because the test may send the signal as soon as it sees the start.
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
