/**
 * Keeps bans in Redis: a hash with the last change of each client as JSON, and two sorted sets that order the clients by the
 * version of that change and by the time when it is forgotten.
 *
 *     strata:bans:{bans}:meta      epoch, version
 *     strata:bans:{bans}:entries   203.0.113.7 -> {"reason":"rate_limit","nth":2,"note":"","started":1764509510123,...}
 *     strata:bans:{bans}:order     203.0.113.7 -> 41 (the version)
 *     strata:bans:{bans}:expiry    203.0.113.7 -> 1765114310123
 *
 * The hash tag puts all of them on one server of a cluster. Scripts run in one step, with the clock of Redis. The keys do not
 * expire by themselves, but each write removes what is to be forgotten.
 */

import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { createRedisScript, type Redis } from '../../redis/redis.ts';
import { banReasons } from '../../resilience/ban-list.ts';
import type { BanChange } from '../ban-registry.ts';
import { type BanStore, maxChanges } from './ban-store.ts';

export interface RedisBanStoreOptions {
  readonly redis: Redis;
  /** The first part of every key. */
  readonly prefix: string;
}

/** The maximum number of clients in the store; beyond it the oldest changes are removed. */
const maxClients = 100_000;

/**
 * ARGV: a new epoch, the time to keep a change, the maximum number of clients; then for each change its client, `lifted` or
 * the reason, the number of the ban, the note, the milliseconds since the start, and those until the end.
 */
const writeScript = createRedisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local meta, entries, order, expiry = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
redis.call('HSETNX', meta, 'epoch', ARGV[1])
for at = 4, #ARGV, 6 do
  local client, reason, nth = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local started, ends = now - tonumber(ARGV[at + 4]), now + tonumber(ARGV[at + 5])
  local old = redis.call('HGET', entries, client)
  local keep = false
  if old and reason ~= 'manual' and reason ~= 'lifted' then
    local known = cjson.decode(old)
    if known.reason ~= 'lifted' and known.ends > now then
      keep = known.reason == 'manual' or known.ends >= ends
      nth = math.max(nth, known.nth)
    end
  end
  if not keep then
    local version = redis.call('HINCRBY', meta, 'version', 1)
    local entry = { reason = reason, nth = nth, note = ARGV[at + 3], started = math.floor(started), ends = math.floor(ends) }
    redis.call('HSET', entries, client, cjson.encode(entry))
    redis.call('ZADD', order, version, client)
    redis.call('ZADD', expiry, math.max(now, ends) + tonumber(ARGV[2]), client)
  end
end
local function remove(client)
  redis.call('HDEL', entries, client)
  redis.call('ZREM', order, client)
  redis.call('ZREM', expiry, client)
end
for _, client in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 1000)) do remove(client) end
local excess = redis.call('HLEN', entries) - tonumber(ARGV[3])
if excess > 0 then
  for _, client in ipairs(redis.call('ZRANGE', order, 0, math.min(excess, 1000) - 1)) do remove(client) end
end
`);

/** ARGV: the epoch and version of the cursor, and the maximum number of changes. */
const readScript = createRedisScript(`
local time = redis.call('TIME')
local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
local after = epoch == ARGV[1] and ARGV[2] or '0'
local rows = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
local reply = { epoch, tostring(time[1] * 1000 + math.floor(time[2] / 1000)), after }
for at = 1, #rows, 2 do
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] =
    rows[at], rows[at + 1], redis.call('HGET', KEYS[2], rows[at]) or ''
end
return reply
`);

const entry = z.object({
  reason: z.enum([...banReasons, 'lifted']),
  nth: z.number(),
  note: z.string(),
  started: z.number(),
  ends: z.number(),
});

export function createRedisBanStore({ redis, prefix }: RedisBanStoreOptions): BanStore {
  const keys = ['meta', 'entries', 'order', 'expiry'].map((name) => `${prefix}bans:{bans}:${name}`);
  return {
    name: 'redis',
    async write(changes, keepMs) {
      const epoch = randomBytes(12).toString('base64url');
      const given = changes.flatMap(({ client, isLifted, reason, nth, note, ageMs, remainingMs }) => [
        ...[client, isLifted ? 'lifted' : reason, `${nth}`, note],
        ...[`${Math.round(ageMs)}`, `${Math.round(remainingMs)}`],
      ]);
      await redis.run(writeScript, keys, [epoch, `${keepMs}`, `${maxClients}`, ...given]);
    },
    async read(cursor) {
      const from = [cursor?.epoch ?? '', `${cursor?.version ?? 0}`, `${maxChanges}`];
      const reply = z.array(z.string()).parse(await redis.run(readScript, keys, from));
      const [epoch = '', now = '', after = '', ...rows] = reply;
      const changes: BanChange[] = [];
      let version = Number(after);
      for (let at = 0; at < rows.length; at += 3) {
        const [client = '', newer = '', text = ''] = rows.slice(at, at + 3);
        version = Number(newer);
        const change = readEntry(client, text, Number(now));
        if (change !== undefined) changes.push(change);
      }
      return { changes, cursor: { epoch, version }, hasMore: rows.length === 3 * maxChanges };
    },
  };
}

/** Returns undefined for an entry that no program like this one has written. */
function readEntry(client: string, text: string, now: number): BanChange | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data } = entry.safeParse(json);
  if (data === undefined) return undefined;
  const { reason, nth, note, started, ends } = data;
  return {
    client,
    isLifted: reason === 'lifted',
    reason: reason === 'lifted' ? 'manual' : reason,
    ...{ nth, note, ageMs: now - started, remainingMs: ends - now },
  };
}
