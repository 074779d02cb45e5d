/** Checks Redis against the settings: whether it answers, and what it does when its memory is full. */

import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../../errors.ts';
import { openRedis, type Redis } from '../../redis/redis.ts';
import { readRedisUrl } from '../../redis/redis-url.ts';
import type { Settings } from '../../settings/load.ts';
import { commandLog } from '../database-target.ts';
import { createFindings, type Finding, type Findings } from './finding.ts';

const connectMs = 3_000;
const pollMs = 10;
const closeMs = 1_000;

export async function checkRedisOf({ security }: Settings): Promise<readonly Finding[]> {
  const found = createFindings('Redis');
  if (!security.redisEnabled) {
    found.fine('Redis is not enabled.');
    return found.list;
  }
  const redis = await openRedis({
    target: readRedisUrl(security.redisUrl),
    name: 'strata-doctor',
    log: commandLog.named('redis'),
  });
  try {
    const until = performance.now() + connectMs;
    while (!redis.isReady() && performance.now() < until) await delay(pollMs);
    if (redis.isReady()) await checkMemoryPolicy(redis, found);
    else {
      const reason = redis.problem();
      found.fault(
        `The Redis of SECURITY_REDIS_URL does not answer: ${reason === undefined ? `no connection within ${connectMs} ms` : reasonOf(reason)}.`,
      );
    }
  } catch (error) {
    found.advise(`Redis does not show its settings: ${reasonOf(error)}.`);
  } finally {
    await redis.close(closeMs);
  }
  return found.list;
}

async function checkMemoryPolicy(redis: Redis, found: Findings): Promise<void> {
  const info = String(await redis.send(undefined, ['INFO']));
  const value = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
  found.fine(`Redis ${value('redis_version')} answers.`);
  const policy = value('maxmemory_policy');
  if (value('maxmemory') === '0') {
    found.advise(
      'maxmemory of Redis is not set, so it can use all memory of its machine and be killed: set it, with maxmemory-policy volatile-ttl.',
    );
  } else if (policy !== 'noeviction' && policy !== 'volatile-ttl') {
    found.advise(
      `maxmemory-policy of Redis is ${policy}, which can evict the rate-limit windows of active clients: set it to volatile-ttl.`,
    );
  }
  if (value('role') === 'slave') {
    found.fault(
      'SECURITY_REDIS_URL names a replica, which cannot be written: name the primary, or use Sentinel.',
    );
  }
}
