/**
 * Loaded into every process of the program before it starts (NODE_OPTIONS): on SIGUSR2 the process collects its garbage
 * and appends its memory, as one line of JSON, to the file MEASURE_INTO. With a file `now` in the folder SNAPSHOT_INTO it
 * writes a heap snapshot there too.
 */

import { appendFileSync, existsSync } from 'node:fs';
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    appendFileSync(
      process.env.MEASURE_INTO,
      `${JSON.stringify({ pid: process.pid, rss, heapUsed, external })}\n`,
    );
    const folder = process.env.SNAPSHOT_INTO;
    if (folder !== undefined && existsSync(`${folder}/now`)) {
      writeHeapSnapshot(`${folder}/${process.pid}-${Date.now()}.heapsnapshot`);
    }
  });
}
