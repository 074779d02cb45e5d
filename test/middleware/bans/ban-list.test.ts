import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientOffences } from '../../../src/bans/ban-messages.ts';
import { createExemptClients } from '../../../src/bans/exempt-clients.ts';
import { createProcessBans } from '../../../src/bans/process-bans.ts';
import { AppError, type AppErrorOptions, type ErrorCode } from '../../../src/errors.ts';
import { compose } from '../../../src/http/compose.ts';
import { banList } from '../../../src/middleware/bans/ban-list.ts';
import { createOffenceReporter } from '../../../src/middleware/bans/offences.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { createRejectedClients } from '../../../src/observability/rejected-clients.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { makeContext, type TestContextOptions } from '../../helpers/context.ts';
import { metricValue } from '../../helpers/metric-value.ts';
import { rejectionNow } from '../../helpers/rejection.ts';
import { ada } from '../../helpers/test-principals.ts';
import { testRoute } from '../../helpers/test-route.ts';

/** A process whose bans the test sets, with a clock in milliseconds; `reported` are the offences that it has sent. */
function makeProcess(allowed: readonly string[] = []) {
  const clock = { now: 0 };
  const reported: ClientOffences[] = [];
  const exempt = createExemptClients(allowed);
  let ban = (_client: string, _until: number): void => assert.fail('Nothing listens.');
  const bans = createProcessBans({
    channel: {
      report: (offenders) => void reported.push(...offenders),
      listen: ({ started }) => {
        ban = (client, until) => started([{ client, until }]);
      },
    },
    exempt,
    now: () => clock.now,
  });
  const metrics = createMetrics();
  const run = compose(
    [
      {
        name: 'ban-list',
        run: banList({ bans, exempt, rejected: createRejectedClients(captureLog().log), metrics }),
      },
    ],
    (ctx) => {
      ctx.reply(200, 'let in');
      return undefined;
    },
  );
  const ask = (peer: string, request: TestContextOptions = {}) => {
    const ctx = makeContext({ peer, ...request });
    const error = rejectionNow(run, ctx);
    return { error, retryAfter: ctx.headers['retry-after'] };
  };
  return { clock, bans, ban, ask, metrics, reported };
}

describe('a request of a banned client', () => {
  it('is refused with 429 and the time that is left, and only while the ban lasts', () => {
    const { clock, ban, ask, metrics } = makeProcess();
    ban('203.0.113.7', 10_000);
    assert.equal(ask('203.0.113.8').error, undefined);
    const { error, retryAfter } = ask('203.0.113.7');
    assert.deepEqual([error?.code, error?.layer, retryAfter], ['client_banned', 'ban-list', '10']);
    clock.now = 9_001;
    assert.equal(ask('203.0.113.7').retryAfter, '1');
    clock.now = 10_000;
    assert.equal(ask('203.0.113.7').error, undefined);
    assert.equal(metricValue(metrics.snapshot(), 'ban_rejections_total').count, 2);
  });

  it('is refused from every address of its IPv6 network, except those of the allow list', () => {
    const { ban, ask } = makeProcess(['2001:db8:0:1::a', '2001:db8:0:1:f::/80', '2001:db8:0:3::/64']);
    ban('2001:db8:0:1::/64', 10_000);
    assert.equal(ask('2001:db8:0:1::1').error?.code, 'client_banned');
    assert.equal(ask('2001:db8:0:1:ffff::9').error?.code, 'client_banned');
    assert.equal(ask('2001:db8:0:1::a').error, undefined);
    assert.equal(ask('2001:db8:0:1:f::1').error, undefined);
    assert.equal(ask('2001:db8:0:2::1').error, undefined);
  });

  it('is answered if it is a probe', () => {
    const { ban, ask } = makeProcess();
    ban('203.0.113.7', 10_000);
    const route = testRoute('GET', '/live', () => 1, { limit: 'exempt' });
    assert.equal(ask('203.0.113.7', { route }).error, undefined);
    assert.equal(ask('203.0.113.7', { route: testRoute('GET', '/x', () => 1) }).error?.code, 'client_banned');
  });

  it('is answered if the allow list of this process contains the client', () => {
    const { ban, ask, bans } = makeProcess(['203.0.113.0/24']);
    ban('203.0.113.7', 10_000);
    assert.equal(bans.size, 0);
    assert.equal(ask('203.0.113.7').error, undefined);
  });
});

describe('an error of a request', () => {
  const table: [
    what: string,
    code: ErrorCode,
    options: AppErrorOptions,
    violations: number,
    failures: number,
  ][] = [
    ['a request over a limit', 'rate_limited', {}, 1, 0],
    ['a credential that was never valid', 'unauthenticated', { isGuess: true }, 0, 1],
    ['an expired token', 'unauthenticated', {}, 0, 0],
    ['a missing page', 'not_found', {}, 0, 0],
    ['a rejection by the ban list itself', 'client_banned', {}, 0, 0],
  ];
  for (const [what, code, options, violations, failures] of table) {
    it(`${what} is ${violations} violations and ${failures} failures`, () => {
      const { bans, reported } = makeProcess();
      const report = createOffenceReporter({ bans, apiKeyHeader: 'X-API-Key' });
      report(makeContext({ peer: '203.0.113.7' }), new AppError(code, 'Why.', options));
      bans.stop();
      const [only] = reported;
      assert.deepEqual([only?.violations ?? 0, only?.failures.length ?? 0], [violations, failures]);
    });
  }

  it('an error of a signed-in caller is no offence', () => {
    const { bans, reported } = makeProcess();
    const report = createOffenceReporter({ bans, apiKeyHeader: 'X-API-Key' });
    const ctx = makeContext({ peer: '203.0.113.7' });
    ctx.principal = ada;
    report(ctx, new AppError('rate_limited', 'Why.'));
    report(ctx, new AppError('unauthenticated', 'Why.', { isGuess: true }));
    bans.stop();
    assert.deepEqual(reported, []);
  });

  it('on a route with a credential of its own, a header does not make different passwords one failure', () => {
    const { bans, reported } = makeProcess();
    const report = createOffenceReporter({ bans, apiKeyHeader: 'X-API-Key' });
    const route = { ...testRoute('POST', '/auth/login', () => null), auth: 'own' } as const;
    for (const password of ['one', 'two', 'three']) {
      for (const headers of [{ authorization: 'x' }, { 'x-api-key': 'x' }]) {
        const ctx = makeContext({ peer: '203.0.113.7', headers, route });
        ctx.rawBody = Buffer.from(JSON.stringify({ login: 'ada', password }));
        report(ctx, new AppError('unauthenticated', 'Why.', { isGuess: true }));
      }
    }
    for (const token of ['a', 'b']) {
      const ctx = makeContext({ peer: '203.0.113.7', headers: { cookie: `refresh=${token}` }, route });
      report(ctx, new AppError('unauthenticated', 'Why.', { isGuess: true }));
    }
    bans.stop();
    assert.equal(reported[0]?.failures.length, 5);
  });

  it('the same credentials are one failure, and others are further ones', () => {
    const { bans, reported } = makeProcess();
    const report = createOffenceReporter({ bans, apiKeyHeader: 'X-API-Key' });
    const error = new AppError('unauthenticated', 'Why.', { isGuess: true });
    const send = (headers: Readonly<Record<string, string>>, body?: string) => {
      const ctx = makeContext({ peer: '2001:db8::1', headers });
      if (body !== undefined) ctx.rawBody = Buffer.from(body);
      report(ctx, error);
    };
    for (let count = 0; count < 3; count += 1) {
      send({ authorization: 'Bearer one' });
      send({ authorization: 'Bearer two' });
      send({ 'x-api-key': 'three' });
      send({}, '{"login":"ada","password":"four"}');
      send({}, '{"login":"ada","password":"five"}');
    }
    bans.stop();
    assert.equal(reported.length, 1);
    assert.equal(reported[0]?.client, '2001:db8:0:0::/64');
    assert.equal(reported[0]?.failures.length, 5);
  });
});

it('a flood from a million addresses is reported in messages of at most 1,000 clients', () => {
  const sizes: number[] = [];
  const bans = createProcessBans({
    channel: { report: (offenders) => void sizes.push(offenders.length), listen() {} },
    exempt: createExemptClients([]),
    now: () => 0,
  });
  for (let index = 0; index < 5_000; index += 1) bans.reportViolation(`20.0.${index >> 8}.${index & 255}`);
  bans.stop();
  assert.deepEqual(sizes, [1_000, 1_000, 1_000, 1_000, 1_000]);
});
