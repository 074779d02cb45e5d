/** pg-boss with large batches and its shortest interval of polling: it has no notifications. */

import { setTimeout as delay } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import { serve } from './adapter.mjs';
import { now } from './clock.mjs';

const batchSize = 2_000;

serve((connectionString) => {
  const boss = new PgBoss({ connectionString, max: 10, supervise: false, schedule: false });
  const started = new Map();
  return {
    async prepare() {
      await boss.start();
      for (const name of ['noop', 'stamp']) await boss.createQueue(name);
    },
    async fill(count) {
      for (let left = count; left > 0; left -= 5_000) {
        await boss.insert(Array.from({ length: Math.min(left, 5_000) }, () => ({ name: 'noop' })));
      }
    },
    async start() {
      await boss.work('noop', { batchSize, pollingIntervalSeconds: 0.5 }, async () => {});
      await boss.work('stamp', { batchSize, pollingIntervalSeconds: 0.5 }, async (jobs) => {
        for (const { data } of jobs) started.set(data.number, now());
      });
    },
    enqueue: (number) => boss.send('stamp', { number }),
    async starts(count) {
      while (started.size < count) await delay(20);
      return [...started].sort(([a], [b]) => a - b).map(([, at]) => at);
    },
    stop: () => boss.stop({ graceful: false, close: true }),
  };
});
