/**
 * Measures the memory that a client costs each limiter: a million clients, one permit each. The process is for one limiter, named
 * as its argument, and runs with --expose-gc. The text of the key counts; both keep it.
 */

import { RateLimiterMemory } from 'rate-limiter-flexible';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';

const clients = 1_000_000;
const keyOf = (index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;

const contestants = {
  Strata() {
    const limit = { name: 'bench', policies: [{ name: 'minute', quota: 100, windowMs: 60_000 }] };
    // The clock does not advance, so that no client is forgotten meanwhile.
    const store = createMemoryLimitStore({ maxClients: clients, now: () => 0 });
    for (let index = 0; index < clients; index += 1) store.take(limit, keyOf(index));
    return () => store.logsOf(limit).size;
  },
  async 'rate-limiter-flexible'() {
    // The window outlives the filling.
    const limiter = new RateLimiterMemory({ points: 100, duration: 3600 });
    for (let index = 0; index < clients; index += 1) await limiter.consume(keyOf(index));
    return async () => ((await limiter.get(keyOf(0))) === null ? 0 : clients);
  },
};

function used() {
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const name = process.argv[2];
const before = used();
const count = await contestants[name]();
const bytes = used() - before;
// Asked after the measuring, so that the limiter is still needed while it is measured.
if ((await count()) !== clients) throw new Error(`${name} has forgotten clients.`);
process.send?.(
  {
    bench: 'limiter',
    question: 'memory of a client, of 1,000,000',
    name,
    ours: name === 'Strata',
    unit: 'bytes',
    figures: [bytes / clients],
  },
  // A million timers of the other limiter are not waited for.
  () => process.exit(),
);
