/**
 * Loaded into the program before it starts (NODE_OPTIONS). On SIGUSR2 a worker blocks its event loop in JavaScript until the
 * file BUSY_UNTIL exists, like a handler that never yields.
 */

import cluster from 'node:cluster';
import { existsSync } from 'node:fs';

if (cluster.isWorker) {
  process.on('SIGUSR2', () => {
    while (!existsSync(process.env.BUSY_UNTIL));
  });
}
