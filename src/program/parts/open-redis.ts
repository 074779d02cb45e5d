import { setTimeout as delay } from 'node:timers/promises';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { AppError, reasonOf, StartError } from '../../errors.ts';
import type { HealthCheck } from '../../features/health/health.ts';
import type { Logger } from '../../observability/logger.ts';
import { createRedisScript, openRedis, type Redis } from '../../redis/redis.ts';
import { describeRedis, readRedisUrl } from '../../redis/redis-url.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';

const closeMs = 1_000;
/** How long the start waits for Redis. After that it continues without, and the connection is opened in the background. */
const startMs = 2_000;
const readinessMs = 1_000;
const pollMs = 5;

/** Errors that no waiting cures: the operator must change a setting, or the rights of the user in Redis. */
const permanent =
  /WRONGPASS|NOAUTH|NOPERM|can't run this command|can't access|AUTH.* called without any password|invalid DB index|DB index is out of range|certificate|SSL routines|unknown command|HELLO|cluster support disabled/i;

/** How long a server waits for its connection before it answers requests. */
const connectMs = 500;

/**
 * Opens the connection to Redis that the settings enable; undefined if they enable none. A Redis that does not answer in time
 * is connected in the background.
 */
export async function openSharedRedis(
  { application, security }: Settings,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<Redis | undefined> {
  if (!security.redisEnabled) return undefined;
  const redis = await lifecycle.open(
    'redis',
    () =>
      openRedis({
        target: readRedisUrl(security.redisUrl),
        name: application.projectName.replace(/[^\x21-\x7e]/g, '-'),
        log: log.named('redis'),
      }),
    (opened) => opened.close(closeMs),
    closeMs,
  );
  await isReadyWithin(redis, connectMs);
  return redis;
}

/**
 * Checks once, in the supervisor, whether the Redis of the settings can be used at all. Rejects with a StartError for a wrong
 * password, missing rights, an invalid certificate or an unknown database. A Redis that does not answer may come back, so
 * the start continues with an event `redis.unavailable`.
 */
export async function assertRedisUsable(settings: Settings, log: Logger): Promise<void> {
  const { redisEnabled, redisUrl, redisKeyPrefix } = settings.security;
  if (!redisEnabled) return;
  const target = readRedisUrl(redisUrl);
  const server = describeRedis(target);
  const redis = await openRedis({ target, name: 'strata-probe', log: log.named('redis') });
  try {
    const late = () => redis.problem() ?? new Error(`No answer within ${startMs} ms.`);
    const problem = (await isReadyWithin(redis, startMs))
      ? await withTimeout(findProblem(redis, redisKeyPrefix), startMs, late)
      : late();
    if (problem === undefined) return;
    const reason = reasonOf(problem);
    if (permanent.test(reason)) {
      throw new StartError(`SECURITY_REDIS_URL names ${server}, which cannot be used: ${reason}.`);
    }
    log.error('redis.unavailable', {
      server,
      reason,
      advice: 'Each node counts its rate limit alone, and nothing is cached in Redis, until Redis answers.',
    });
  } finally {
    await redis.close(closeMs);
  }
}

/** Resolves with whether there is a connection. Does not wait longer after an error that no waiting cures. */
async function isReadyWithin(redis: Redis, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (!redis.isReady() && performance.now() < end) {
    if (permanent.test(reasonOf(redis.problem()))) return false;
    await delay(pollMs);
  }
  return redis.isReady();
}

/**
 * Resolves with the error if a command that the program needs is not allowed: those of the limits, of the bans and of the cache,
 * and the channels of invalidations. A command without its right would fail again and again later.
 */
async function findProblem(redis: Redis, prefix: string): Promise<unknown> {
  const name = `${prefix}probe`;
  try {
    await redis.run(commandsScript, [`${name}:{1}`, `${name}:{1}:log`, `${name}:{1}:list`], []);
    await redis.send(name, ['GET', name]);
    await redis.send(name, ['DEL', name]);
    await redis.subscribe(name, () => {});
    await redis.send(undefined, ['PUBLISH', name, '']);
    return undefined;
  } catch (error) {
    return error;
  }
}

const commandsScript = createRedisScript(`
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('GET', KEYS[1])
redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], 1000)
redis.call('ZADD', KEYS[2], 1, 'a')
redis.call('ZCOUNT', KEYS[2], 1, 2)
redis.call('ZRANGE', KEYS[2], 0, 0)
redis.call('ZRANGEBYSCORE', KEYS[2], 1, 2)
redis.call('ZREMRANGEBYSCORE', KEYS[2], 1, 1)
redis.call('ZREM', KEYS[2], 'a')
redis.call('HSETNX', KEYS[3], 'a', 1)
redis.call('HSET', KEYS[3], 'a', 1)
redis.call('HINCRBY', KEYS[3], 'a', 1)
redis.call('HGET', KEYS[3], 'a')
redis.call('HLEN', KEYS[3])
redis.call('HDEL', KEYS[3], 'a')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return redis.call('TIME')
`);

/** Returns the check of readiness. The server works without Redis, so it is degraded then, and stays ready. */
export function redisCheck(redis: Redis | undefined): HealthCheck {
  return {
    name: 'redis',
    required: false,
    run:
      redis &&
      (async () => {
        try {
          await withTimeout(redis.send(undefined, ['PING']), readinessMs, () => {
            throw new AppError('not_ready', `No answer within ${readinessMs} ms.`);
          });
          return undefined;
        } catch (error) {
          return { degraded: `Redis does not answer: ${reasonOf(redis.problem() ?? error)}` };
        }
      }),
  };
}
