import { RedisUrlError, readRedisUrl } from '../../redis/redis-url.ts';
import { kind, reject } from './kind.ts';

/** The URL of a Redis server, a cluster or Sentinel; empty if there is none. An invalid URL is found before anything is opened. */
export const redisUrl = () =>
  kind(
    'redis://user:password@host:6379/0, or the same with rediss, redis+cluster or redis+sentinel',
    (text) => {
      if (text === '') return text;
      try {
        readRedisUrl(text);
        return text;
      } catch (error) {
        if (!(error instanceof RedisUrlError)) throw error;
        return reject(error.message);
      }
    },
  );

/** The first part of keys: no braces, because they select a server of a cluster, and no spaces. */
export const keyPrefix = () =>
  kind('1 to 100 letters, digits, and the characters . _ : / -', (text) =>
    /^[\w.:/-]{1,100}$/.test(text) ? text : reject(),
  );
