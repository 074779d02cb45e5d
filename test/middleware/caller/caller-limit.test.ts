import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Principal } from '../../../src/auth/principal.ts';
import { compose } from '../../../src/http/compose.ts';
import type { Route } from '../../../src/http/route.ts';
import type { RouteLimit } from '../../../src/http/route-declaration.ts';
import type { LimitStore } from '../../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../../src/limits/memory-store.ts';
import { callerLimit } from '../../../src/middleware/caller/caller-limit.ts';
import { rateLimit } from '../../../src/middleware/rate-limit.ts';
import { createRejectedClients } from '../../../src/observability/rejected-clients.ts';
import { SlidingLog } from '../../../src/resilience/sliding-window.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { makeContext } from '../../helpers/context.ts';
import { asynchronous } from '../../helpers/limit-stores.ts';
import { rejectionOf } from '../../helpers/rejection.ts';
import { mustStartApp } from '../../helpers/test-app.ts';
import { testRoute } from '../../helpers/test-route.ts';

const userPerMinute = 4;
const address = { name: 'address', policies: [{ name: 'minute', quota: 6, windowMs: 60_000 }] };

const sessionOf = (userId: number): Principal => ({
  kind: 'session',
  sessionId: `session of ${userId}`,
  userId,
  username: `user ${userId}`,
  role: 'user',
});

const keyOf = (userId: number): Principal => ({
  kind: 'apiKey',
  keyId: userId + 1000,
  scopes: new Set(),
  userId,
  username: `user ${userId}`,
  role: 'user',
});

const limitOf = (facts: Partial<RouteLimit> = {}): RouteLimit => ({
  name: 'login',
  by: 'address',
  quota: 2,
  windowMs: 30_000,
  ...facts,
});

let paths = 0;
const routeWith = (...limits: RouteLimit[]) => {
  paths += 1;
  return testRoute('POST', `/${paths}`, () => 1, { limits });
};

interface Asked {
  readonly principal?: Principal;
  readonly route?: Route;
  readonly peer?: string;
}

/** Both limiting layers, with a clock that the test sets, in milliseconds. */
function makeLimiter(wrap: (store: LimitStore) => LimitStore = (store) => store) {
  const clock = { now: 0 };
  const captured = captureLog();
  const rejected = createRejectedClients(captured.log);
  const store = wrap(createMemoryLimitStore({ maxClients: 1000, now: () => clock.now }));
  const run = compose(
    [
      { name: 'rate-limit', run: rateLimit({ rejected, limit: address, store }) },
      { name: 'caller-limit', run: callerLimit({ rejected, store, userPerMinute }) },
    ],
    (same) => {
      same.reply(200, 'let in');
      return undefined;
    },
  );
  const ask = async ({ principal, route, peer = '192.0.2.1' }: Asked = {}) => {
    const ctx = makeContext({ peer, ...(route !== undefined && { route }) });
    ctx.principal = principal;
    const rejection = await rejectionOf(run, ctx);
    assert.ok(rejection === undefined ? ctx.status === 200 : rejection.code === 'rate_limited');
    return { headers: { ...ctx.headers, ...rejection?.headers }, rejection };
  };
  /** Sends a number of requests, and returns which of them are allowed. */
  const admit = async (times: number, asked: (time: number) => Asked) => {
    const admitted: boolean[] = [];
    for (let time = 0; time < times; time += 1) {
      admitted.push((await ask(asked(time))).rejection === undefined);
    }
    return admitted;
  };
  return { clock, captured, ask, admit };
}

describe('a user', () => {
  it('a user has one quota across all addresses, sessions and API keys', async () => {
    const { admit, clock } = makeLimiter();
    const asked = (time: number): Asked => ({
      peer: `192.0.2.${time}`,
      principal: time % 2 === 0 ? sessionOf(1) : keyOf(1),
    });
    assert.deepEqual(await admit(5, asked), [true, true, true, true, false]);
    clock.now = 60_000;
    assert.deepEqual(await admit(1, asked), [true]);
  });

  it('each user is counted separately, even behind the same address', async () => {
    const { admit } = makeLimiter();
    assert.deepEqual(await admit(4, () => ({ principal: sessionOf(1) })), [true, true, true, true]);
    assert.deepEqual(await admit(1, () => ({ principal: sessionOf(1) })), [false]);
    assert.deepEqual(await admit(1, () => ({ principal: sessionOf(11) })), [true]);
  });

  it('requests of a user count on every route and on unknown paths', async () => {
    const { admit } = makeLimiter();
    const routes = [undefined, routeWith(), routeWith(), undefined, routeWith()];
    const admitted = await admit(5, (time) => {
      const route = routes[time];
      return { principal: sessionOf(1), ...(route !== undefined && { route }) };
    });
    assert.deepEqual(admitted, [true, true, true, true, false]);
  });

  it('an anonymous client is limited by address only', async () => {
    const { ask, admit } = makeLimiter();
    assert.deepEqual((await ask()).headers, {
      'ratelimit-policy': '"minute";q=6;w=60',
      ratelimit: '"minute";r=5;t=60',
    });
    assert.deepEqual(await admit(6, () => ({})), [true, true, true, true, true, false]);
  });
});

describe('a route that declares a limit', () => {
  it('a limit that a route declares by address applies to every caller', async () => {
    const { ask, admit, clock } = makeLimiter();
    const route = routeWith(limitOf());
    const admitted = await admit(3, (time) => ({ route, principal: sessionOf(time) }));
    assert.deepEqual(admitted, [true, true, false]);
    assert.deepEqual(await admit(1, () => ({ route, peer: '192.0.2.9' })), [true]);
    assert.equal((await ask()).rejection, undefined, 'other routes are not');
    clock.now = 30_000;
    assert.deepEqual(await admit(1, () => ({ route })), [true]);
  });

  it('a limit by user counts signed-in users by id and anonymous clients by address', async () => {
    const { admit } = makeLimiter();
    const route = routeWith(limitOf({ by: 'user' }));
    const asked = (principal: Principal | undefined, last = 1) => ({
      route,
      peer: `192.0.2.${last}`,
      ...(principal !== undefined && { principal }),
    });
    assert.deepEqual(await admit(3, (time) => asked(sessionOf(1), time)), [true, true, false]);
    assert.deepEqual(await admit(1, () => asked(sessionOf(2))), [true]);
    assert.deepEqual(await admit(3, () => asked(undefined)), [true, true, false]);
    assert.deepEqual(await admit(1, () => asked(undefined, 2)), [true]);
  });

  it('a limit by address counts an IPv6 client by its /64', async () => {
    const { admit } = makeLimiter();
    const route = routeWith(limitOf());
    assert.deepEqual(await admit(3, (time) => ({ route, peer: `2001:db8::${time + 1}` })), [
      true,
      true,
      false,
    ]);
  });

  it('routes that declare the same limit share its permits', async () => {
    const { admit } = makeLimiter();
    const routes = [routeWith(limitOf()), routeWith(limitOf()), routeWith(limitOf({ name: 'reset' }))];
    const admitted = await admit(4, (time) => ({ route: routes[[0, 1, 0, 2][time] ?? 0] ?? routeWith() }));
    assert.deepEqual(admitted, [true, true, false, true]);
  });

  it('a route can declare several limits, all of which must allow a request', async () => {
    const { ask, clock } = makeLimiter();
    const route = routeWith(
      limitOf({ quota: 1, windowMs: 1000 }),
      limitOf({ name: 'daily', quota: 2, windowMs: 86_400_000 }),
    );
    const refusedBy = [];
    for (clock.now of [0, 1, 1000, 2000]) refusedBy.push((await ask({ route })).headers.ratelimit);
    assert.deepEqual(refusedBy, [
      '"login";r=0;t=1',
      '"login";r=0;t=1',
      '"login";r=0;t=1',
      '"daily";r=0;t=86398',
    ]);
  });
});

describe('a response', () => {
  it('a response lists all applicable quotas and the state of the one with the fewest permits left', async () => {
    const { ask } = makeLimiter();
    const route = routeWith(limitOf());
    const { headers } = await ask({ route, principal: sessionOf(1) });
    assert.deepEqual(headers, {
      'ratelimit-policy': '"minute";q=6;w=60, "login";q=2;w=30, "user";q=4;w=60',
      ratelimit: '"login";r=1;t=30',
    });
    assert.equal((await ask({ principal: sessionOf(1) })).headers.ratelimit, '"user";r=2;t=60');
    for (let times = 0; times < 3; times += 1) await ask();
    assert.equal((await ask({ principal: sessionOf(1) })).headers.ratelimit, '"minute";r=0;t=60');
  });
});

describe('a rejection', () => {
  it('a rejection is 429 with Retry-After, lists all quotas, shows the exceeded one, and is logged with the user', async () => {
    const { ask, admit, captured, clock } = makeLimiter();
    await admit(4, (time) => ({ principal: sessionOf(1), peer: `192.0.2.${time}` }));
    clock.now = 15_500;
    const { headers, rejection } = await ask({ principal: sessionOf(1), route: routeWith(limitOf()) });
    assert.equal(rejection?.message, 'More than 4 requests in 60 seconds. Wait 45 seconds.');
    assert.equal(rejection?.layer, 'caller-limit');
    assert.deepEqual(headers, {
      'ratelimit-policy': '"minute";q=6;w=60, "login";q=2;w=30, "user";q=4;w=60',
      ratelimit: '"user";r=0;t=45',
      'retry-after': '45',
    });
    const [line] = captured.of('rate_limit.exceeded');
    assert.deepEqual(
      [line?.level, line?.client_address, line?.user_id, line?.policy, line?.quota],
      ['warning', '192.0.2.1', 1, 'user', 4],
    );
  });

  it('a rejection by the limit of a route spends no permit of the user', async () => {
    const { admit } = makeLimiter();
    const route = routeWith(limitOf());
    const login = await admit(5, () => ({ route, principal: sessionOf(1) }));
    assert.deepEqual(login, [true, true, false, false, false]);
    const rest = await admit(3, () => ({ principal: sessionOf(1), peer: '192.0.2.2' }));
    assert.deepEqual(rest, [true, true, false]);
  });

  it('a rejection by address spends no permit of the user or the route', async () => {
    const { admit } = makeLimiter();
    const route = routeWith(limitOf());
    await admit(6, () => ({}));
    assert.deepEqual(await admit(3, () => ({ route, principal: sessionOf(1) })), [false, false, false]);
    const others = await admit(3, (time) => ({
      route: routeWith(),
      principal: sessionOf(1),
      peer: `192.0.2.${time + 2}`,
    }));
    assert.deepEqual(others, [true, true, true]);
  });
});

it('a probe is neither counted nor rejected', async () => {
  const { ask } = makeLimiter();
  const route = testRoute('GET', '/live', () => 1, { limit: 'exempt', limits: [limitOf()] });
  for (let times = 0; times < 10; times += 1) {
    assert.deepEqual(await ask({ route, principal: sessionOf(1) }), { headers: {}, rejection: undefined });
  }
});

it('an asynchronous store is awaited and asked in the same order', async () => {
  const asked: string[] = [];
  const { ask, admit } = makeLimiter((store) =>
    asynchronous(store, (limit, key) => asked.push(`${limit.name} ${key}`)),
  );
  const route = routeWith(limitOf({ by: 'user' }));
  const { headers } = await ask({ route, principal: sessionOf(1) });
  assert.equal(headers.ratelimit, '"login";r=1;t=30');
  assert.deepEqual(asked, ['address 192.0.2.1', 'login user:1', 'user user:1']);
  assert.deepEqual(await admit(2, () => ({ route, principal: sessionOf(1) })), [true, false]);
});

it('no quota is ever exceeded, in any order of users, addresses and routes', async () => {
  const routes = [
    routeWith(),
    routeWith(limitOf()),
    routeWith(limitOf({ name: 'both', by: 'user', quota: 1 })),
  ];
  const step = fc.record({
    wait: fc.nat(20_000),
    route: fc.nat(2),
    user: fc.option(fc.nat(2)),
    peer: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { ask, clock } = makeLimiter();
      const logs = new Map<string, SlidingLog>();
      const isWithin = (name: string, quota: number, windowMs: number) => {
        const log = logs.get(name) ?? new SlidingLog();
        logs.set(name, log);
        return log.take([{ name, quota, windowMs }], clock.now).allowed;
      };
      for (const { wait, route, user, peer } of steps) {
        clock.now += wait;
        const asked = { route: routes[route] ?? routeWith(), peer: `192.0.2.${peer}` };
        const { rejection } = await ask(user === null ? asked : { ...asked, principal: sessionOf(user) });
        if (rejection !== undefined) continue;
        // The allowed requests must be within each quota, as if they were the only requests.
        assert.ok(isWithin(`address ${peer}`, 6, 60_000));
        if (user !== null) assert.ok(isWithin(`user ${user}`, userPerMinute, 60_000));
        if (route === 1) assert.ok(isWithin(`login ${peer}`, 2, 30_000));
        if (route === 2) assert.ok(isWithin(`both ${user === null ? `address ${peer}` : user}`, 1, 30_000));
      }
    }),
    { numRuns: 100 },
  );
});

describe('the application', () => {
  const limited = testRoute('GET', '/limited', () => 'done', { limits: [limitOf({ name: 'thing' })] });
  const statuses = async (t: TestContext, env: Readonly<Record<string, string>>) => {
    const { api } = await mustStartApp(t, { extraRoutes: [limited], env });
    const answers = [];
    for (let times = 0; times < 3; times += 1) answers.push(await fetch(`${api}/limited`));
    return { answers, statuses: answers.map(({ status }) => status) };
  };

  it('the application enforces the limits that routes declare', async (t) => {
    const { answers, statuses: got } = await statuses(t, {});
    assert.deepEqual(got, [200, 200, 429]);
    assert.match(answers[2]?.headers.get('ratelimit') ?? '', /^"thing";r=0;t=(?:29|30)$/);
    assert.match(answers[2]?.headers.get('ratelimit-policy') ?? '', /"thing";q=2;w=30$/);
    assert.match(answers[2]?.headers.get('retry-after') ?? '', /^(?:29|30)$/);
    assert.match((await answers[2]?.text()) ?? '', /"layer":"caller-limit"/);
  });

  it('the application enforces no limit when SECURITY_RATE_LIMIT_ENABLED is false', async (t) => {
    const { answers, statuses: got } = await statuses(t, { SECURITY_RATE_LIMIT_ENABLED: 'false' });
    assert.deepEqual(got, [200, 200, 200]);
    assert.equal(answers[0]?.headers.get('ratelimit'), null);
  });

  it('the application does not start with two different limits of one name', async (t) => {
    const other = testRoute('POST', '/limited', () => 'done', {
      operationId: 'other',
      limits: [limitOf({ name: 'thing', quota: 3 })],
    });
    await assert.rejects(
      mustStartApp(t, { extraRoutes: [limited, other] }),
      /differs from that of another route/,
    );
  });
});
