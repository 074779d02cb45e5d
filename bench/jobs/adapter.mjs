/**
 * The interface of each queue to the harness, in a process of its own: `prepare` makes what it needs in an empty database,
 * `fill` enqueues many jobs that do nothing, in its fastest documented way, `start` starts one runner, `enqueue` adds a single
 * job in the plain way. Each job reports its start time.
 *
 *     harness ──IPC──> { ask: 'fill', count }  ──> { done: 'fill' }
 */

import { now } from './clock.mjs';

/**
 * @param {(databaseUrl: string) => {
 *   prepare(): Promise<void>,
 *   fill(count: number): Promise<void>,
 *   start(): Promise<void>,
 *   enqueue(number: number): Promise<void>,
 *   starts(count: number): Promise<readonly number[]>,
 *   stop(): Promise<void>,
 * }} make `starts` is when each single job has started, in the order in which they were enqueued.
 */
export function serve(make) {
  const adapter = make(process.env.BENCH_DATABASE_URL ?? '');
  const answers = {
    prepare: () => adapter.prepare(),
    fill: ({ count }) => adapter.fill(count),
    start: () => adapter.start(),
    async latency({ count, pauseMs }) {
      const enqueued = [];
      for (let number = 0; number < count; number += 1) {
        enqueued.push(now());
        await adapter.enqueue(number);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      const starts = await adapter.starts(count);
      return starts.map((at, number) => at - enqueued[number]);
    },
    stop: () => adapter.stop(),
  };
  process.on('message', async ({ ask, ...rest }) => {
    try {
      process.send?.({ done: ask, value: (await answers[ask](rest)) ?? null });
    } catch (error) {
      process.send?.({ failed: ask, message: String(error?.stack ?? error) });
    }
    if (ask === 'stop') process.exit(0);
  });
  process.on('disconnect', () => process.exit(1));
}
