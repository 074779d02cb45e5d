/** The floor of a cluster: the bare server twice, below a primary that does nothing but hand connections out. */

import cluster from 'node:cluster';

if (cluster.isPrimary) for (let worker = 0; worker < 2; worker += 1) cluster.fork();
else await import('../bare/server.mjs');
