import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { AppError } from '../../src/errors.ts';
import type { LimitQuestion, LimitReceiver, ReturnedLease } from '../../src/limits/lease.ts';
import { startWorkerLimits } from '../../src/limits/worker-limits.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { metricValue } from '../helpers/metric-value.ts';

const limit = { name: 'minute', policies: [{ name: 'minute', quota: 1000, windowMs: 60_000 }] };

/** Starts the limiter of a worker with the test as its primary. */
function start(t: TestContext, answer: (question: LimitQuestion, receiver: LimitReceiver) => void) {
  const returned: ReturnedLease[] = [];
  const captured = captureLog();
  const metrics = createMetrics();
  let receiver: LimitReceiver | undefined;
  const limits = startWorkerLimits({
    channel: {
      define() {},
      ask: (question) => receiver && answer(question, receiver),
      returnLease: (lease) => returned.push(lease),
      listen: (given) => {
        receiver = given;
      },
    },
    onFailure: 'closed',
    log: captured.log,
    metrics,
  });
  t.after(limits.stop);
  return { ...limits, returned, captured, metrics };
}

/** An answer with a lease for a minute. */
function lease({ id }: LimitQuestion, receiver: LimitReceiver): void {
  const decidedAt = Number(process.hrtime.bigint()) / 1e6;
  const grant = { id: 1, permits: 50, expiresAt: decidedAt + 60_000 };
  receiver.answer({ id, allowed: true, policy: 0, remaining: 900, resetMs: 60_000, decidedAt, lease: grant });
}

it('a worker that stops returns its leases', async (t) => {
  const { store, stop, returned } = start(t, (...given) => setImmediate(() => lease(...given)));
  for (let requests = 0; requests < 3; requests += 1) await store.take(limit, 'client');
  assert.deepEqual(returned, []);
  stop();
  assert.deepEqual(
    returned.map(({ spent }) => spent),
    [2],
  );
});

it('with onFailure closed, requests that the primary does not answer get 503, and are counted and logged', async (t) => {
  const { store, captured, metrics } = start(t, () => {});
  const rejection = Promise.resolve(store.take(limit, 'client')).then(
    () => assert.fail('The request was allowed.'),
    (error: unknown) => error,
  );
  await eventually('the failure is logged', () => captured.of('rate_limit.store_failed').length === 1);
  const error = await rejection;
  assert.ok(error instanceof AppError);
  assert.deepEqual([error.code, error.headers], ['not_ready', { 'retry-after': '1' }]);
  assert.equal(captured.of('rate_limit.store_failed')[0]?.requests, 1);
  assert.equal(metricValue(metrics.snapshot(), 'rate_limit_unanswered_total').count, 1);
});
