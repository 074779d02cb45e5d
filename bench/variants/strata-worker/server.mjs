/**
 * Strata, whole, as one worker below its primary: what a worker's request costs beyond that of the single process, the
 * questions to the primary included, without two workers taking turns on one processor. It starts as two workers, for one
 * would be the single process, and lets one of them go.
 */

import cluster from 'node:cluster';

if (cluster.isPrimary) {
  let listening = 0;
  cluster.on('listening', () => {
    listening += 1;
    if (listening === 2) process.kill(process.pid, 'SIGTTOU');
  });
}
await import('../strata-cluster/server.mjs');
