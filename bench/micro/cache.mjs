/**
 * A hit of a cached function: from memory, with a thousand keys in turns, and from Redis, if `redis-server` is installed.
 * A `Map` with the same keys shows the share of the look-up itself. The value is a page of twenty small rows.
 *
 * A miss in memory, one after the other: of a process alone, and of a worker that asks its primary, which is a process of its own
 * here as there. The load is an empty function, so the figure is what the cache adds to a load.
 */

import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { createCache } from '../../src/cache/cache.ts';
import { createCacheMetrics } from '../../src/cache/cache-metrics.ts';
import { createGuardedCacheStore } from '../../src/cache/guarded-store.ts';
import { noBus } from '../../src/cache/invalidation-bus.ts';
import { createMemoryCacheStore } from '../../src/cache/memory-store.ts';
import { createRedisCacheStore } from '../../src/cache/redis-store.ts';
import { createWorkerCacheStore } from '../../src/cache/worker-store.ts';
import { parseToChild } from '../../src/cluster/messages.ts';
import { createHostClock } from '../../src/limits/host-clock.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { probedCircuit } from '../../src/observability/probed-circuit.ts';
import { openRedis } from '../../src/redis/redis.ts';
import { readRedisUrl } from '../../src/redis/redis-url.ts';
import { compare } from './timing.mjs';

const log = createLogger({ level: 'CRITICAL', destination: { write() {}, flush: async () => {} } });
const keys = Array.from({ length: 1024 }, (_, index) => `${index}`);
const keyOf = (call) => keys[call % keys.length];
const row = z.object({ id: z.number(), title: z.string() });
const page = Array.from({ length: 20 }, (_, id) => ({ id, title: `The title of post ${id}` }));

/** Returns a cached function that has all values. */
async function fill(store) {
  const cache = createCache({ store, bus: noBus, metrics: createCacheMetrics(createMetrics()).calls, log });
  const read = cache.cached({
    name: 'bench',
    key: (key) => key,
    tags: () => ['posts'],
    ttl: 3_600,
    schema: z.array(row),
  })(async () => page);
  for (const key of keys) assert.deepEqual(await read(key), page);
  return read;
}

const fromMemory = await fill(createMemoryCacheStore({ maxBytes: 64_000_000 }));
const plain = new Map(keys.map((key) => [`bench:${key}`, page]));
const question = 'a hit in memory';
await compare('cache', [
  { question, name: 'Strata', ours: true, call: (call) => fromMemory(keyOf(call)), waits: true },
  { question, name: 'Map', call: async (call) => plain.get(`bench:${keyOf(call)}`), waits: true },
]);

/** Returns a function that misses each time, because each call has a key of its own. */
function createMiss(store) {
  const read = createCache({
    store,
    bus: noBus,
    metrics: createCacheMetrics(createMetrics()).calls,
    log,
  }).cached({
    name: 'bench',
    key: (key) => key,
    tags: () => ['posts'],
    ttl: 3_600,
    schema: z.array(row),
  })(async () => page);
  let last = 0;
  return () => {
    last += 1;
    return read(String(last));
  };
}

// Built, this file and the other one end with .js.
const primary = fork(join(import.meta.dirname, `cache-primary${extname(import.meta.filename)}`));
let receiver;
primary.on('message', (message) => {
  const known = parseToChild(message);
  if (known?.kind === 'load-state') receiver.enter(known.id, known.state);
});
const memory = () => createMemoryCacheStore({ maxBytes: 4_000_000 });
const worker = createWorkerCacheStore({
  memory: memory(),
  channel: {
    ask: (question) => primary.send({ kind: 'load', ...question }),
    finish: (id, value) => primary.send({ kind: 'load-end', id, value }),
    revoke() {},
    listen(given) {
      receiver = given;
    },
  },
  now: createHostClock(),
  deadlineMs: 10_000,
  onUnanswered: () => assert.fail('The primary did not answer.'),
});
const miss = 'a miss in memory, one after the other';
await compare('cache', [
  { question: miss, name: 'Strata, one process', ours: true, call: createMiss(memory()), waits: true },
  { question: miss, name: 'Strata, a worker', call: createMiss(worker), waits: true },
]);
primary.disconnect();

const port = 16_379;
const server = spawn('redis-server', ['--port', `${port}`, '--save', '', '--bind', '127.0.0.1'], {
  stdio: 'ignore',
});
const isMissing = await Promise.race([
  once(server, 'error').then(() => true),
  once(server, 'spawn').then(() => false),
]);
if (!isMissing) {
  const redis = await openRedis({ target: readRedisUrl(`redis://127.0.0.1:${port}`), name: 'bench', log });
  while (!redis.isReady()) await delay(5);
  const store = createGuardedCacheStore({
    store: createRedisCacheStore({ redis, prefix: 'bench:' }),
    deadlineMs: 1_000,
    createCircuit: probedCircuit({
      ...{ kind: 'cache', name: 'redis', openMs: 100, maxOpenMs: 4_000, log },
      ...{ metrics: createCircuitMetrics(createMetrics()), advice: '' },
    }),
    onCall() {},
  });
  const fromRedis = await fill(store);
  const command = (call) => redis.send(undefined, ['GET', `bench:cache:{bench:${keyOf(call)}}`]);
  const asked = 'a hit in Redis, one after the other';
  await compare('cache', [
    { question: asked, name: 'Strata', ours: true, call: (call) => fromRedis(keyOf(call)), waits: true },
    { question: asked, name: 'one GET', call: command, waits: true },
  ]);
  store.stop();
  await redis.close(1_000);
  server.kill();
}
