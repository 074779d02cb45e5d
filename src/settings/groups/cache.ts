import { choice, integer } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

/** The cache of the values that features load. */
export const cacheSettings = {
  cacheStore: variable('APP_CACHE_STORE', choice(['auto', 'memory', 'redis', 'off']), {
    default: 'auto',
    about:
      'Where loaded values are cached: in the `memory` of each process, or in `redis` for all nodes; `off` caches nothing. `auto` is redis with SECURITY_REDIS_ENABLED=true, else memory.',
  }),
  cacheMemoryMb: variable('APP_CACHE_MEMORY_MB', integer(1, 65_536, 'megabytes'), {
    default: '32',
    about:
      'The memory of the cache in each process, estimated. Then the least recently used values are evicted.',
  }),
  cacheTimeoutMs: variable('APP_CACHE_TIMEOUT_MS', integer(1, 10_000, 'milliseconds'), {
    default: '25',
    about:
      'How long a request waits for an answer of the cache in Redis, or with `memory` and several workers for that of the primary. Then the value is loaded without it, until it answers again.',
  }),
};
