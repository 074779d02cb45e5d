/**
 * Counts permits in Redis, exactly: one sorted set per client and limit, with one member per permit and its time as the score.
 *
 *     strata:limit:{203.0.113.7}:address:70/60000|1000/3600000      1764509510123  "k3x9-1a"
 *                                                                   1764509510980  "k3x9-1b"
 *
 * A permit is free if each policy has fewer permits in its window than its quota (`resilience/sliding-window.ts` is the same
 * algorithm in memory). The script below decides and counts in one step, which Redis executes without interruption, with the
 * clock of Redis. A rejected request writes nothing. A key expires when its newest permit leaves the longest window.
 *
 * All asks of one turn of the event loop are one call, because a call costs more than a decision (18 against 4 µs of this
 * process, `npm run bench -- micro`). On a cluster, each ask is a call: the braces in the key, its hash tag, put all limits of
 * a client on one server, and the clients on different ones.
 *
 * A limit with other quotas has other keys, so its counts start at zero.
 */

import { randomBytes } from 'node:crypto';
import { hashTag } from '../../redis/hash-tag.ts';
import { createRedisScript, type Redis } from '../../redis/redis.ts';
import type { Decision, Limit } from '../limit-store.ts';
import { type Ask, readDecisions, type SharedBackend } from './shared-backend.ts';

export interface RedisBackendOptions {
  readonly redis: Redis;
  /** The first part of every key. */
  readonly prefix: string;
  /** The clock for tests, in milliseconds. Default: the clock of Redis. */
  readonly now?: () => number;
}

/**
 * KEYS are the sorted sets. ARGV has the time (empty: the clock of Redis), the first part of the names of permits, and for
 * each key its policies as `quota/window|quota/window`, after `+` if the key belongs to the same ask as the one before.
 *
 * Returns four numbers for each key: 1 if allowed, 0 if rejected, -1 if a limit before it rejected; the index of the policy;
 * the permits left; the milliseconds until one more is free.
 */
const script = createRedisScript(`
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local parsed = {}
local function policies_of(text)
  if not parsed[text] then
    local policies, longest = {}, 0
    for quota, window in string.gmatch(text, '(%d+)/(%d+)') do
      policies[#policies + 1] = { quota = tonumber(quota), window = tonumber(window) }
      longest = math.max(longest, tonumber(window))
    end
    parsed[text] = { policies, longest }
  end
  return parsed[text][1], parsed[text][2]
end

local function take(key, id, policies, longest)
  local used, nearest, wait = {}, nil, nil
  for index, policy in ipairs(policies) do
    used[index] = redis.call('ZCOUNT', key, '(' .. (now - policy.window), '+inf')
  end
  local function reset(index)
    local oldest = redis.call('ZRANGE', key, -used[index], -used[index], 'WITHSCORES')
    return tonumber(oldest[2]) + policies[index].window - now
  end
  for index, policy in ipairs(policies) do
    if used[index] >= policy.quota then
      local after = reset(index)
      if not wait or after > wait then nearest, wait = index, after end
    end
  end
  if nearest then return 0, nearest - 1, 0, wait end
  -- The first write, because a server without memory rejects only the first write of a script.
  redis.call('ZADD', key, now, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - longest)
  redis.call('PEXPIRE', key, longest)
  local left
  for index, policy in ipairs(policies) do
    used[index] = used[index] + 1
    if not left or policy.quota - used[index] < left then nearest, left = index, policy.quota - used[index] end
  end
  return 1, nearest - 1, left, reset(nearest)
end

local reply, rejected = {}, false
for index, key in ipairs(KEYS) do
  local text = ARGV[index + 2]
  if string.sub(text, 1, 1) ~= '+' then rejected = false end
  local allowed, policy, left, wait = -1, 0, 0, 0
  if not rejected then
    local policies, longest = policies_of(text)
    allowed, policy, left, wait = take(key, ARGV[2] .. index, policies, longest)
    rejected = allowed == 0
  end
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = allowed, policy, left, wait
end
return reply
`);

export function createRedisBackend({ redis, prefix, now }: RedisBackendOptions): SharedBackend {
  const process = randomBytes(6).toString('base64url');
  const definitions = new WeakMap<Limit, Definition>();
  let calls = 0;

  function definitionOf(limit: Limit): Definition {
    let definition = definitions.get(limit);
    if (definition === undefined) {
      definition = define(limit);
      definitions.set(limit, definition);
    }
    return definition;
  }

  async function call(asks: readonly Ask[]): Promise<Decision[][]> {
    calls += 1;
    const keys: string[] = [];
    const parameters = [
      now === undefined ? '' : String(Math.floor(now())),
      `${process}${calls.toString(36)}-`,
    ];
    for (const { limits, key } of asks) {
      const client = `${prefix}limit:{${hashTag(key)}}:`;
      for (const limit of limits) {
        const { suffix, text } = definitionOf(limit);
        keys.push(client + suffix);
        parameters.push(limit === limits[0] ? text : `+${text}`);
      }
    }
    return readDecisions(asks, (await redis.run(script, keys, parameters)) as readonly number[]);
  }

  return {
    name: 'redis',
    async decide(asks) {
      if (!redis.isCluster) return call(asks);
      return (await Promise.all(asks.map((ask) => call([ask])))).flat();
    },
  };
}

interface Definition {
  /** The end of the key. */
  readonly suffix: string;
  /** The policies as the script reads them. */
  readonly text: string;
}

function define({ name, policies }: Limit): Definition {
  if (policies.length === 0) throw new RangeError(`The limit "${name}" has no policy.`);
  const text = policies.map(({ quota, windowMs }) => `${quota}/${windowMs}`).join('|');
  return { suffix: `${name}:${text}`, text };
}
