/**
 * A store in Redis, for the processes of all nodes. `{…}` is the hash tag of a value, which puts its two keys on one server
 * of a cluster.
 *
 *     strata:cache:{posts.popular:node}         "1 300000 kJ3x-…\n[1,[…]]"    value: form, staleMs, versions of the tags
 *     strata:cache:{posts.popular:node}:load    "q8Zr… kJ3x-…"                 the load in progress: its name, the versions
 *     strata:cache-tag:{tag:node}               "kJ3x-…"                       the current version of a tag
 *
 * - A value is valid if the versions of its tags are the current ones. The invalidation of a tag deletes its version, and the
 *   next load creates a new random one. So a tag that was evicted, or lost with the memory of Redis, also invalidates its
 *   values, and a value that was loaded before an invalidation is not valid, even if it is stored afterwards.
 * - The key of a load is its lease: `SET` with an expiry of 2 s, which the process renews while it loads. The script that
 *   stores the value does nothing without the lease. The invalidation of a key deletes the value and the lease. A load that
 *   began with older versions of the tags loses its lease to the next one.
 * - A miss returns the lease of a load in progress, if the versions in it are the current ones. So another call of the loading
 *   process knows whether an invalidation came between the start of that load and its own.
 * - A value is fresh while its key has more than `staleMs` to live, so only the clock of Redis counts.
 *
 * A hit is one command, on a cluster one for the value and one for each tag at the same time. The first part of a value is
 * the form of this text: a release with another form ignores it.
 */

import { randomBytes } from 'node:crypto';
import { hashTag } from '../redis/hash-tag.ts';
import { createRedisScript, type Redis } from '../redis/redis.ts';
import type { CacheEntry, CacheRead, CacheStore, LoadLease, LoadStart, StoredValue } from './cache-store.ts';
import { maxFlightMs } from './cached-function.ts';

export interface RedisCacheStoreOptions {
  readonly redis: Redis;
  /** The first part of every key. */
  readonly prefix: string;
}

const form = '1';
const leaseMs = 2_000;
const renewMs = 600;
/** Longer than any value lives, because a value whose tag has no version is not valid. */
const tagMs = 8 * 86_400_000;
/** Larger values are not stored: they would delay the other commands. */
const maxLength = 1_048_576;

/** KEYS: the value, the load, the tags. Returns the value, its time to live, the load, and the version of each tag. */
const readScript = createRedisScript(`
local reply = { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[2]) }
for index = 3, #KEYS do reply[index + 1] = redis.call('GET', KEYS[index]) end
return reply
`);

/** KEYS: tags. ARGV: how long they live, a new version. Returns the version of each tag; creates those that are missing. */
const tagScript = createRedisScript(`
local versions = {}
for index, key in ipairs(KEYS) do
  local version = redis.call('GET', key)
  if version then redis.call('PEXPIRE', key, ARGV[1])
  else
    version = ARGV[2]
    redis.call('SET', key, version, 'PX', ARGV[1])
  end
  versions[index] = version
end
return versions
`);

/**
 * KEYS: the value, the load. ARGV: the versions of the tags, the name of the load, the time of its lease, '1' to replace a
 * fresh value. Returns the fresh value, or 1 if the lease was granted, or 0 if another load has it.
 */
const startScript = createRedisScript(`
local value = redis.call('GET', KEYS[1])
if value and ARGV[4] == '0' then
  local stale, versions = string.match(value, '^${form} (%d+) (%S*)\\n')
  if versions == ARGV[1] and redis.call('PTTL', KEYS[1]) > tonumber(stale) then return value end
end
local load = redis.call('GET', KEYS[2])
if load and string.match(load, ' (%S*)$') == ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[3])
return 1
`);

/** KEYS: the keys of the value and of the load. ARGV: the id of the lease, the value, its time to live. Returns 1 if the value was stored. */
const storeScript = createRedisScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
`);

/** KEYS: the key of the load. ARGV: the id of the lease, and its new time to live in milliseconds; 0 releases the lease. */
const leaseScript = createRedisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

export function createRedisCacheStore({ redis, prefix }: RedisCacheStoreOptions): CacheStore {
  const valueKey = (key: string) => `${prefix}cache:{${hashTag(key)}}`;
  const loadKey = (key: string) => `${valueKey(key)}:load`;
  const tagKey = (tag: string) => `${prefix}cache-tag:{${hashTag(tag)}}`;

  async function readAll({ key, tags }: CacheEntry): Promise<readonly unknown[]> {
    if (!redis.isCluster || tags.length === 0) {
      const keys = [valueKey(key), loadKey(key), ...tags.map(tagKey)];
      return (await redis.run(readScript, keys, [])) as unknown[];
    }
    const [value, ...versions] = await Promise.all([
      redis.run(readScript, [valueKey(key), loadKey(key)], []),
      ...tags.map((tag) => redis.send(tagKey(tag), ['GET', tagKey(tag)])),
    ]);
    return [...(value as unknown[]), ...versions];
  }

  /** Resolves with the current versions of the tags, as they are written into values. */
  async function currentVersions(tags: readonly string[]): Promise<string> {
    if (tags.length === 0) return '';
    const parameters = [String(tagMs), newName()];
    const keys = tags.map(tagKey);
    const replies = redis.isCluster
      ? (await Promise.all(keys.map((key) => redis.run(tagScript, [key], parameters)))).flat()
      : await redis.run(tagScript, keys, parameters);
    return (replies as string[]).join(',');
  }

  function createLease(key: string, lease: string): LoadLease {
    const keys = [valueKey(key), loadKey(key)];
    const extend = (ms: number) => redis.run(leaseScript, [loadKey(key)], [lease, String(ms)]);
    const endAt = performance.now() + maxFlightMs;
    const renewal = setInterval(() => {
      if (performance.now() > endAt) clearInterval(renewal);
      // A lease that cannot be renewed expires, and then the value is not stored.
      else extend(leaseMs).catch(() => {});
    }, renewMs).unref();
    const versions = lease.slice(lease.indexOf(' ') + 1);
    return {
      name: lease,
      async store({ text, freshMs, staleMs }) {
        clearInterval(renewal);
        if (text.length > maxLength) {
          await extend(0);
          return false;
        }
        const value = `${form} ${staleMs} ${versions}\n${text}`;
        return (await redis.run(storeScript, keys, [lease, value, String(freshMs + staleMs)])) === 1;
      },
      async release() {
        clearInterval(renewal);
        await extend(0);
      },
    };
  }

  return {
    isShared: true,

    async read(entry): Promise<CacheRead> {
      const [value, lifeMs, load, ...tagVersions] = await readAll(entry);
      const versions = tagVersions.join(',');
      const isLoading = typeof load === 'string' && load.slice(load.indexOf(' ') + 1) === versions;
      const miss: CacheRead = { kind: 'miss', loading: isLoading ? load : undefined };
      if (typeof value !== 'string' || tagVersions.includes(null)) return miss;
      return parseValue(value, versions, Number(lifeMs)) ?? miss;
    },

    async startLoad({ key, tags }, { replaces }): Promise<LoadStart> {
      const versions = await currentVersions(tags);
      const name = newName();
      const keys = [valueKey(key), loadKey(key)];
      const parameters = [versions, name, String(leaseMs), replaces ? '1' : '0'];
      const reply = await redis.run(startScript, keys, parameters);
      if (reply === 1) return { kind: 'lease', lease: createLease(key, `${name} ${versions}`) };
      const found = typeof reply === 'string' ? parseValue(reply, versions, Infinity) : undefined;
      return found ?? { kind: 'busy' };
    },

    async invalidate({ keys, tags }) {
      const groups = [
        ...keys.map((key) => [valueKey(key), loadKey(key)]),
        ...tags.map((tag) => [tagKey(tag)]),
      ];
      const commands = redis.isCluster ? groups : [groups.flat()];
      await Promise.all(
        commands.filter((names) => names.length > 0).map((names) => redis.send(names[0], ['DEL', ...names])),
      );
    },
  };
}

/** Returns a value as it was stored; undefined if its form or the versions of its tags are others. */
function parseValue(value: string, versions: string, lifeMs: number): StoredValue | undefined {
  const end = value.indexOf('\n');
  const [found, staleMs, loadedWith] = value.slice(0, end).split(' ');
  if (found !== form || loadedWith !== versions) return undefined;
  return { kind: 'text', text: value.slice(end + 1), isStale: lifeMs <= Number(staleMs) };
}

function newName(): string {
  return randomBytes(9).toString('base64url');
}
