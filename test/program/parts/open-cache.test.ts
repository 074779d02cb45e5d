import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import type { Invalidation } from '../../../src/cache/cache-store.ts';
import { createRedisBus } from '../../../src/cache/invalidation-bus.ts';
import { createCircuitMetrics } from '../../../src/observability/circuit-set.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { createLifecycle } from '../../../src/program/lifecycle.ts';
import { openCache } from '../../../src/program/parts/open-cache.ts';
import { openSharedRedis } from '../../../src/program/parts/open-redis.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startRedis, withoutRedis } from '../../helpers/redis.ts';

it('a worker with its values in memory notifies the primary of invalidations that arrive from Redis', {
  skip: withoutRedis,
}, async () => {
  const server = await startRedis();
  after(server.stop);
  const env = {
    SECURITY_REDIS_ENABLED: 'true',
    SECURITY_REDIS_URL: server.url,
    SECURITY_RATE_LIMIT_STORE: 'memory',
    APP_CACHE_STORE: 'memory',
  };
  const { settings } = loadSettings({ env, envFile: null });
  const { log } = captureLog();
  const metrics = createMetrics();
  const lifecycle = createLifecycle(log);
  after(() => lifecycle.closeAll());
  const redis = await openSharedRedis(settings, log, lifecycle);
  assert.ok(redis !== undefined);
  const revoked: Invalidation[] = [];
  await openCache({
    ...{ settings, log, metrics, lifecycle, redis, circuitMetrics: createCircuitMetrics(metrics) },
    nodeBus: undefined,
    nodeLoads: {
      ask() {},
      finish() {},
      revoke: (invalidation) => revoked.push(invalidation),
      listen() {},
    },
  });
  const elsewhere = createRedisBus({ redis, prefix: settings.security.redisKeyPrefix });
  after(elsewhere.stop);
  // Repeatedly, because the subscription starts in the background.
  await eventually('the primary is notified', () => {
    elsewhere.publish({ keys: ['posts:1'], tags: ['posts'] });
    return revoked.length > 0;
  });
  assert.deepEqual(revoked[0], { keys: ['posts:1'], tags: ['posts'] });
});
