import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compose } from '../../src/http/compose.ts';
import type { Limit, LimitStore } from '../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { rateLimit } from '../../src/middleware/rate-limit.ts';
import { createRejectedClients } from '../../src/observability/rejected-clients.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext, type TestContextOptions } from '../helpers/context.ts';
import { asynchronous } from '../helpers/limit-stores.ts';
import { rejectionOf } from '../helpers/rejection.ts';
import { testRoute } from '../helpers/test-route.ts';

const limit: Limit = {
  name: 'address',
  policies: [
    { name: 'minute', quota: 3, windowMs: 60_000 },
    { name: 'hour', quota: 5, windowMs: 3_600_000 },
  ],
};

/** Creates a limiter with a clock that the test sets, in milliseconds. */
function makeLimiter(overrides: { store?: LimitStore } = {}) {
  const clock = { now: 0 };
  const captured = captureLog();
  const store = overrides.store ?? createMemoryLimitStore({ maxClients: 1000, now: () => clock.now });
  const run = compose(
    [{ name: 'rate-limit', run: rateLimit({ rejected: createRejectedClients(captured.log), limit, store }) }],
    (same) => {
      same.reply(200, 'let in');
      return undefined;
    },
  );
  /** Sends a request, and returns the response headers and the error if it was rejected. */
  const ask = async (options: TestContextOptions = {}) => {
    const ctx = makeContext({ peer: '192.0.2.1', ...options });
    const rejection = await rejectionOf(run, ctx);
    assert.ok(rejection === undefined ? ctx.status === 200 : rejection.code === 'rate_limited');
    return { headers: { ...ctx.headers, ...rejection?.headers }, rejection };
  };
  return { clock, captured, ask };
}

describe('a response', () => {
  it('a response lists the quotas, and the state of the one with the fewest permits left', async () => {
    const { clock, ask } = makeLimiter();
    assert.deepEqual((await ask()).headers, {
      'ratelimit-policy': '"minute";q=3;w=60, "hour";q=5;w=3600',
      ratelimit: '"minute";r=2;t=60',
    });
    clock.now = 30_500;
    assert.equal((await ask()).headers.ratelimit, '"minute";r=1;t=30');
    clock.now = 120_000;
    assert.equal((await ask()).headers.ratelimit, '"minute";r=2;t=60');
    clock.now = 180_000;
    assert.equal((await ask()).headers.ratelimit, '"hour";r=1;t=3420');
  });
});

describe('a rejection', () => {
  it('a rejection is 429 with Retry-After, names the quota, and is logged', async () => {
    const { clock, ask, captured } = makeLimiter();
    for (clock.now of [0, 1000, 2000]) await ask();
    clock.now = 2_001;
    const { headers, rejection } = await ask();
    assert.equal(rejection?.message, 'More than 3 requests in 60 seconds. Wait 58 seconds.');
    assert.equal(rejection?.layer, 'rate-limit');
    assert.deepEqual([headers['retry-after'], headers.ratelimit], ['58', '"minute";r=0;t=58']);
    const [line] = captured.of('rate_limit.exceeded');
    assert.deepEqual(
      [line?.level, line?.client_address, line?.policy, line?.quota],
      ['warning', '192.0.2.1', 'minute', 3],
    );
  });

  it('a request is allowed again after Retry-After, and not a second earlier', async () => {
    const { clock, ask } = makeLimiter();
    for (clock.now of [0, 500, 999]) await ask();
    clock.now = 10_000;
    const wait = Number((await ask()).headers['retry-after']);
    clock.now += wait * 1000 - 1000;
    assert.ok((await ask()).rejection);
    clock.now += 1000;
    assert.equal((await ask()).rejection, undefined);
  });

  it('a request is allowed again after Retry-After when several quotas are exceeded', async () => {
    const { clock, ask } = makeLimiter();
    for (clock.now of [0, 1000, 120_000, 121_000, 122_000]) assert.equal((await ask()).rejection, undefined);
    clock.now = 123_000;
    const { rejection, headers } = await ask();
    assert.match(rejection?.message ?? '', /^More than 5 requests in 3600 seconds/);
    clock.now += (Number(headers['retry-after']) - 1) * 1000;
    assert.ok((await ask()).rejection);
    clock.now += 1000;
    assert.equal((await ask()).rejection, undefined);
  });

  it('a rejection does not count: a client that keeps trying is allowed as early as one that waits', async () => {
    const { clock, ask } = makeLimiter();
    for (let times = 0; times < 3; times += 1) await ask();
    for (clock.now = 100; clock.now < 60_000; clock.now += 100) assert.ok((await ask()).rejection);
    assert.equal((await ask()).rejection, undefined);
  });

  it('a rejection asks to wait for at least one second', async () => {
    const { clock, ask } = makeLimiter();
    for (let times = 0; times < 3; times += 1) await ask();
    clock.now = 59_999.9;
    assert.equal((await ask()).headers['retry-after'], '1');
  });
});

describe('a client', () => {
  it('a client is counted by its IPv4 address', async () => {
    const { ask } = makeLimiter();
    for (let times = 0; times < 3; times += 1) await ask({ peer: '192.0.2.1' });
    assert.ok((await ask({ peer: '192.0.2.1' })).rejection);
    assert.equal((await ask({ peer: '192.0.2.2' })).rejection, undefined);
  });

  it('an IPv6 client is counted by its /64, in which one subscriber can use any address', async () => {
    const { ask } = makeLimiter();
    for (const peer of ['2001:db8:1:2::1', '2001:db8:1:2:ffff::', '2001:0DB8:1:2::3']) await ask({ peer });
    assert.ok((await ask({ peer: '2001:db8:1:2::4' })).rejection);
    assert.equal((await ask({ peer: '2001:db8:1:3::1' })).rejection, undefined);
  });

  it('requests for unknown paths count as well', async () => {
    const { ask } = makeLimiter();
    for (let times = 0; times < 3; times += 1) await ask({ target: '/nothing' });
    assert.ok((await ask({ route: testRoute('GET', '/', () => 1) })).rejection);
  });
});

it('a probe is neither counted nor rejected', async () => {
  const { ask } = makeLimiter();
  const route = testRoute('GET', '/live', () => 1, { limit: 'exempt' });
  for (let times = 0; times < 10; times += 1) {
    assert.deepEqual(await ask({ route }), { headers: {}, rejection: undefined });
  }
  assert.equal((await ask()).headers.ratelimit, '"minute";r=2;t=60');
});

it('an asynchronous store is awaited', async () => {
  const memory = createMemoryLimitStore({ maxClients: 10, now: () => 0 });
  const { ask } = makeLimiter({ store: asynchronous(memory) });
  for (let times = 0; times < 3; times += 1) assert.equal((await ask()).rejection, undefined);
  assert.ok((await ask()).rejection);
});
