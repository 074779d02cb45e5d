/**
 * Loaded into the program before it starts (NODE_OPTIONS): a worker that gets SIGUSR2 is busy until the file BUSY_UNTIL is
 * there, in JavaScript, on its event loop: what a handler does that never gives it back.
 */

import cluster from 'node:cluster';
import { existsSync } from 'node:fs';

if (cluster.isWorker) {
  process.on('SIGUSR2', () => {
    while (!existsSync(process.env.BUSY_UNTIL));
  });
}
