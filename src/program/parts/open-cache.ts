import { type Cache, createCache } from '../../cache/cache.ts';
import { createCacheMetrics } from '../../cache/cache-metrics.ts';
import type { CacheStore } from '../../cache/cache-store.ts';
import { createGuardedCacheStore } from '../../cache/guarded-store.ts';
import { combineBuses, createRedisBus, type InvalidationBus, noBus } from '../../cache/invalidation-bus.ts';
import { createMemoryCacheStore } from '../../cache/memory-store.ts';
import { noCacheStore } from '../../cache/no-store.ts';
import { createRedisCacheStore } from '../../cache/redis-store.ts';
import type { LoadChannel } from '../../cache/shared-load.ts';
import { createWorkerCacheStore } from '../../cache/worker-store.ts';
import type { HealthCheck } from '../../features/health/health.ts';
import { createHostClock } from '../../limits/host-clock.ts';
import type { CircuitMetrics } from '../../observability/circuit-set.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import { probedCircuit } from '../../observability/probed-circuit.ts';
import type { Redis } from '../../redis/redis.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';

export interface CacheParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly circuitMetrics: CircuitMetrics;
  readonly lifecycle: Lifecycle;
  readonly redis: Redis | undefined;
  /** Reaches the other workers of the node; by default there are none. */
  readonly nodeBus: InvalidationBus | undefined;
  /** Coordinates the loads with the other workers of the node; without it, this process loads by itself. */
  readonly nodeLoads: LoadChannel | undefined;
}

export interface OpenedCache {
  readonly cache: Cache;
  /** Reaches the other workers of the node, and with Redis the processes of all nodes. */
  readonly bus: InvalidationBus;
  readonly check: HealthCheck;
}

const closeMs = 1_000;
const megabyte = 1_048_576;
/** When Redis is asked again after a failure, in milliseconds. */
const probing = { openMs: 100, maxOpenMs: 4_000 };

/** Opens the cache that the settings enable, and the bus that sends the names of invalidated values to the other processes. */
export async function openCache(parts: CacheParts): Promise<OpenedCache> {
  const { settings, log, metrics, redis, nodeBus = noBus, nodeLoads } = parts;
  const cacheMetrics = createCacheMetrics(metrics);
  const redisBus = redis === undefined ? noBus : await openRedisBus(parts, redis);
  const bus = combineBuses(nodeBus, redisBus);
  const create = (store: CacheStore) =>
    createCache({ store, bus, metrics: cacheMetrics.calls, log: log.named('cache') });
  const check = (run: HealthCheck['run']) => ({ name: 'cache', required: false, run });
  const { cacheStore, cacheMemoryMb, cacheTimeoutMs } = settings.application;
  if (cacheStore === 'off') return { cache: create(noCacheStore), bus, check: check(undefined) };
  if (redis === undefined || cacheStore === 'memory') {
    const { evictions, bytes, entries, unanswered } = cacheMetrics;
    const memory = createMemoryCacheStore({
      maxBytes: cacheMemoryMb * megabyte,
      onEviction: () => evictions.of().add(),
    });
    metrics.onCollect(() => {
      const size = memory.size();
      bytes.of().set(size.bytes);
      entries.of().set(size.entries);
    });
    const memoryCheck = check(async () => undefined);
    if (nodeLoads === undefined) return { cache: create(memory), bus, check: memoryCheck };
    // The primary knows the invalidations of this node, because it passes them on.
    redisBus.subscribe(nodeLoads.revoke);
    const store = createWorkerCacheStore({
      ...{ memory, channel: nodeLoads, now: createHostClock() },
      deadlineMs: cacheTimeoutMs,
      onUnanswered: () => unanswered.of().add(),
    });
    return { cache: create(store), bus, check: memoryCheck };
  }
  const store = await openGuardedStore(parts, redis, cacheMetrics);
  return {
    cache: create(store),
    bus,
    check: check(async () =>
      store.isUp()
        ? undefined
        : { degraded: 'Redis does not answer the cache, so every value is loaded when it is needed.' },
    ),
  };
}

async function openRedisBus({ settings, lifecycle }: CacheParts, redis: Redis): Promise<InvalidationBus> {
  return lifecycle.open(
    'cache invalidations',
    async () => createRedisBus({ redis, prefix: settings.security.redisKeyPrefix }),
    async (opened) => opened.stop(),
    closeMs,
  );
}

async function openGuardedStore(
  { settings, log, lifecycle, circuitMetrics }: CacheParts,
  redis: Redis,
  { up, storeDuration }: ReturnType<typeof createCacheMetrics>,
) {
  up.of().set(1);
  return lifecycle.open(
    'cache',
    async () =>
      createGuardedCacheStore({
        store: createRedisCacheStore({ redis, prefix: settings.security.redisKeyPrefix }),
        deadlineMs: settings.application.cacheTimeoutMs,
        onCall: (seconds) => storeDuration.of().observe(seconds),
        createCircuit: probedCircuit({
          ...{ kind: 'cache', name: 'redis', ...probing, log: log.named('cache'), metrics: circuitMetrics },
          advice: 'Until Redis answers again, each value is loaded when it is needed.',
          onChange: (isOpen) => up.of().set(isOpen ? 0 : 1),
        }),
      }),
    async (store) => store.stop(),
    closeMs,
  );
}
