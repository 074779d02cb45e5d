import { boolean, choice, integer } from '../kinds/kind.ts';
import { keyPrefix, redisUrl } from '../kinds/redis-url.ts';
import { variable } from '../variable.ts';

/** The state that several nodes share: the connection to Redis, and where the permits of the rate limit are counted. */
export const sharedSettings = {
  redisEnabled: variable('SECURITY_REDIS_ENABLED', boolean(), {
    default: 'false',
    about:
      'Use the Redis of SECURITY_REDIS_URL (needs the package @redis/client) for the rate limit and the cache, so that all nodes share them.',
  }),
  redisUrl: variable('SECURITY_REDIS_URL', redisUrl(), {
    default: '',
    aliases: ['REDIS_URL'],
    secret: 'url-password',
    about:
      'The Redis or Valkey server, from version 6. `rediss` uses TLS and verifies the certificate. Several hosts of a cluster: redis+cluster://host:7000,host:7001. Sentinel: redis+sentinel://host:26379,host:26379/0?master=name.',
  }),
  redisKeyPrefix: variable('SECURITY_REDIS_KEY_PREFIX', keyPrefix(), {
    default: 'strata:',
    about:
      'The first part of every key and channel in Redis. Programs that share a Redis need different ones.',
  }),
  rateLimitStore: variable('SECURITY_RATE_LIMIT_STORE', choice(['auto', 'memory', 'redis', 'postgres']), {
    default: 'auto',
    about:
      'Where permits are counted: `memory` for each node alone, `redis` or `postgres` for all nodes together. `auto` is redis with SECURITY_REDIS_ENABLED=true, else memory.',
  }),
  rateLimitStoreTimeoutMs: variable(
    'SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS',
    integer(1, 10_000, 'milliseconds'),
    {
      default: '25',
      about:
        'How long a request waits for redis or postgres to count it. Then the node counts alone, as SECURITY_RATE_LIMIT_ON_FAILURE specifies, until the store answers again.',
    },
  ),
};
