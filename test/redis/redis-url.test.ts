import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeRedis, RedisUrlError, readRedisUrl } from '../../src/redis/redis-url.ts';

const secret = 'hunter2secret';

describe('the URL of a Redis', () => {
  const server = {
    kind: 'server',
    tls: false,
    hosts: [{ host: 'cache', port: 6379 }],
    username: undefined,
    password: undefined,
    database: 0,
    master: '',
    sentinelPassword: undefined,
  };
  for (const [url, expected] of [
    ['redis://cache', {}],
    ['redis://cache/', {}],
    ['REDIS://cache:6379/0', {}],
    ['valkey://cache', {}],
    ['rediss://cache', { tls: true }],
    ['redis://cache/15', { database: 15 }],
    ['redis://cache:7000', { hosts: [{ host: 'cache', port: 7000 }] }],
    ['redis://[2001:db8::1]:7000', { hosts: [{ host: '2001:db8::1', port: 7000 }] }],
    ['redis://[::1]', { hosts: [{ host: '::1', port: 6379 }] }],
    [`redis://:${secret}@cache`, { password: secret }],
    ['redis://strata@cache', { username: 'strata' }],
    ['redis://a%40b:p%3A%2F%3F%23@cache', { username: 'a@b', password: 'p:/?#' }],
    [
      'redis+cluster://one,two:7001',
      {
        kind: 'cluster',
        hosts: [
          { host: 'one', port: 6379 },
          { host: 'two', port: 7001 },
        ],
      },
    ],
    ['rediss+cluster://cache/0', { kind: 'cluster', tls: true }],
    [
      `redis+sentinel://one,two:7001/3?master=main&sentinel_password=${secret}`,
      {
        kind: 'sentinel',
        hosts: [
          { host: 'one', port: 26_379 },
          { host: 'two', port: 7001 },
        ],
        database: 3,
        master: 'main',
        sentinelPassword: secret,
      },
    ],
  ] as const) {
    it(`${url.replaceAll(secret, '***')} is read`, () => {
      assert.deepEqual(readRedisUrl(url), { ...server, ...expected });
    });
  }

  for (const [url, reason] of [
    ['', /not valid/],
    ['cache:6379', /not valid/],
    ['http://cache', /not valid/],
    ['redis+other://cache', /not valid/],
    ['redis:cache', /not valid/],
    ['redis://', /needs a host/],
    ['redis://:6379', /needs a host/],
    ['redis://cache:0', /from 1 to 65535/],
    ['redis://cache:65536', /from 1 to 65535/],
    ['redis://cache:port', /needs a host/],
    ['redis://2001:db8::1', /needs a host/],
    ['redis://one,two', /several hosts need/],
    ['redis://cache/one', /number of a database/],
    ['redis://cache/-1', /number of a database/],
    ['redis://cache/01', /number of a database/],
    ['redis://cache/99999', /number of a database/],
    ['redis+cluster://cache/1', /only database 0/],
    ['redis+sentinel://cache', /name of the master/],
    ['redis+sentinel://cache?master=', /name of the master/],
    ['redis+sentinel://cache?master=a&master=b', /given twice/],
    ['redis://cache?tls=true', /the parameter tls is not supported/],
    ['rediss://cache?rejectUnauthorized=false', /the parameter rejectUnauthorized is not supported/],
    ['redis://cache?master=main', /the parameter master is not supported/],
    ['redis://cache\n', /not valid/],
    ['redis://ca che', /not valid/],
    [`redis://:${secret}#x@cache`, /percent-encode/],
    [`redis://:${secret}@x@cache`, /percent-encode/],
    [`redis://:${secret}/x@cache`, /percent-encode/],
    [`redis://:${secret}?x@cache`, /percent-encode/],
    [`redis://a:b:${secret}@cache`, /percent-encode/],
    [`redis://:${secret}%@cache`, /percent-encode/],
    [`redis://cache?${secret}@=1`, /percent-encode/],
    [`redis://cache?${secret.repeat(4)}=1`, /a parameter is not supported/],
  ] as const) {
    it(`${JSON.stringify(url.replaceAll(secret, '***'))} is rejected without repeating its password`, () => {
      assert.throws(
        () => readRedisUrl(url),
        (error) => {
          assert.ok(error instanceof RedisUrlError);
          assert.match(error.message, reason);
          assert.equal(error.message.includes(secret), false);
          return true;
        },
      );
    });
  }

  it('the description for messages has neither user name nor password', () => {
    for (const [url, described] of [
      [`rediss://strata:${secret}@cache`, 'rediss://cache:6379/0'],
      [`redis://:${secret}@[::1]/2`, 'redis://[::1]:6379/2'],
      [`redis+cluster://:${secret}@one,two`, 'redis+cluster://one:6379,two:6379/'],
      [
        `redis+sentinel://:${secret}@one/1?master=main&sentinel_password=${secret}`,
        'redis+sentinel://one:26379/1?master=main',
      ],
    ] as const) {
      assert.equal(describeRedis(readRedisUrl(url)), described);
    }
  });
});
