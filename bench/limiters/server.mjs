/**
 * A small server with one limiter in front of its answer, for `npm run prove -- shared-limits`. Arguments: the name of the limiter, and
 * the URL of Redis. Each client is an address in `X-Forwarded-For`, and no request exceeds the limit. Sends its port to its parent.
 */

import { createServer } from 'node:http';
import rateLimit from '@fastify/rate-limit';
import fastify from 'fastify';
import { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { createRedisBackend } from '../../src/limits/shared/redis-backend.ts';
import { createSharedLimitStore } from '../../src/limits/shared/shared-store.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { probedCircuit } from '../../src/observability/probed-circuit.ts';
import { openRedis } from '../../src/redis/redis.ts';
import { readRedisUrl } from '../../src/redis/redis-url.ts';

const quota = 1_000_000;
const [, , name, redisUrl] = process.argv;

const memory = () => createMemoryLimitStore({ maxClients: 100_000, now: () => performance.now() });

async function shared() {
  const log = createLogger({ level: 'ERROR', destination: { write: () => {}, flush: async () => {} } });
  const redis = await openRedis({ target: readRedisUrl(redisUrl), name: 'bench', log });
  while (!redis.isReady()) await new Promise((resolve) => setTimeout(resolve, 5));
  return createSharedLimitStore({
    backend: createRedisBackend({ redis, prefix: 'ours:' }),
    fallback: memory(),
    onFailure: 'closed',
    deadlineMs: 10_000,
    createCircuit: probedCircuit({
      ...{ kind: 'rate_limit', name: 'redis', openMs: 100, maxOpenMs: 4_000, log },
      ...{ metrics: createCircuitMetrics(createMetrics()), advice: '' },
    }),
    onFallback: () => {},
    onCall: () => {},
  });
}

const limit = { name: 'address', policies: [{ name: 'minute', quota, windowMs: 60_000 }] };

const limiters = {
  none: () => () => true,
  async 'Strata, memory'() {
    const store = memory();
    return (client) => store.take(limit, client).allowed;
  },
  async 'Strata, Redis'() {
    const store = await shared();
    return async (client) => (await store.take(limit, client)).allowed;
  },
  async 'rate-limiter-flexible, memory'() {
    const limiter = new RateLimiterMemory({ points: quota, duration: 60 });
    return (client) => limiter.consume(client).then(() => true);
  },
  async 'rate-limiter-flexible, Redis'() {
    const storeClient = new Redis(redisUrl, { enableOfflineQueue: false });
    await new Promise((resolve) => storeClient.once('ready', resolve));
    const limiter = new RateLimiterRedis({ storeClient, points: quota, duration: 60, keyPrefix: 'flexible' });
    return (client) => limiter.consume(client).then(() => true);
  },
};

async function listen() {
  if (name.startsWith('Fastify') || name.startsWith('@fastify')) return listenFastify();
  const allows = await limiters[name]();
  const server = createServer(async (request, response) => {
    const isAllowed = await allows(request.headers['x-forwarded-for']);
    response.statusCode = isAllowed ? 200 : 429;
    response.setHeader('content-type', 'application/json');
    response.setHeader('content-length', 11);
    response.end('{"ok":true}');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

async function listenFastify() {
  const app = fastify({ logger: false });
  if (name.startsWith('@fastify')) {
    const redis = name.endsWith('Redis') ? { redis: new Redis(redisUrl) } : {};
    await app.register(rateLimit, {
      max: quota,
      timeWindow: 60_000,
      cache: 100_000,
      keyGenerator: (request) => request.headers['x-forwarded-for'],
      ...redis,
    });
  }
  app.get('/', async () => ({ ok: true }));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app.server.address().port;
}

process.send({ port: await listen() });
process.on('disconnect', () => process.exit());
