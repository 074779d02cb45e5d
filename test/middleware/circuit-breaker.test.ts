import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { AppError } from '../../src/errors.ts';
import { circuitBreaker } from '../../src/middleware/circuit-breaker.ts';
import { deadline } from '../../src/middleware/deadline.ts';
import { createCircuitMetrics, createCircuitSet } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { createApiClient } from '../helpers/api-client.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { testRoute } from '../helpers/test-route.ts';

/** Starts a server whose route `/work` ends as `handler` does, with a clock that only the test moves. */
async function mustServe(t: Pick<TestContext, 'after'>, handler: () => unknown) {
  const captured = captureLog();
  const metrics = createMetrics();
  let time = 0;
  const now = () => time;
  const circuits = createCircuitSet({
    kind: 'route',
    policy: {
      ...{ windowMs: 60_000, minCalls: 2, minFailures: 2, failureRate: 0.5 },
      ...{ slowCallMs: 30_000, openMs: 60_000, maxOpenMs: 300_000 },
    },
    ...{ log: captured.log, metrics: createCircuitMetrics(metrics), now },
  });
  const server = await mustStartServer(t, {
    captured,
    layers: [
      { name: 'deadline', run: deadline({ timeoutMs: 60 }) },
      { name: 'circuit-breaker', run: circuitBreaker({ circuits, now }) },
    ],
    routes: [testRoute('GET', '/work', () => handler()), testRoute('GET', '/other', () => ({}))],
  });
  return {
    ...{ circuits, log: server.log },
    snapshot: () => metrics.snapshot(),
    move: (ms: number) => {
      time += ms;
    },
    /** Requests `/work` and resolves with the statuses. */
    async work(times = 1): Promise<number[]> {
      const statuses: number[] = [];
      for (let count = 0; count < times; count += 1) {
        statuses.push((await server.request({ path: '/work' })).status);
      }
      return statuses;
    },
    request: (path: string) => server.request({ path }),
  };
}

const fail = () => {
  throw new Error('broken');
};

describe('the layer circuit-breaker', () => {
  it('a route that fails repeatedly is rejected with 503 and Retry-After, and other routes are not', async (t) => {
    const { work, request, move, log, circuits, snapshot } = await mustServe(t, fail);
    assert.deepEqual(await work(3), [500, 500, 503]);
    move(20_000);
    const { status, headers, json } = await request('/work');
    assert.deepEqual(
      [status, headers['retry-after'], json.code, json.layer],
      [503, '40', 'circuit_open', 'circuit-breaker'],
    );
    assert.equal((await request('/other')).status, 200);
    assert.deepEqual(circuits.openNames(), ['GET /work']);
    assert.equal(metricValue(snapshot(), 'circuits_open', { kind: 'route' }).sum, 1);
    assert.equal(metricValue(snapshot(), 'circuit_rejections_total', { kind: 'route' }).sum, 2);
    const [line] = log.of('circuit.opened');
    assert.deepEqual([line?.kind, line?.circuit, line?.open_seconds], ['route', 'GET /work', 60]);
  });

  it('a route is answered again after a successful trial', async (t) => {
    let isBroken = true;
    const { work, move, log, circuits } = await mustServe(t, () => (isBroken ? fail() : {}));
    await work(2);
    move(60_000);
    assert.deepEqual(await work(2), [500, 503]);
    isBroken = false;
    move(60_000);
    assert.deepEqual(await work(), [503]);
    move(60_000);
    assert.deepEqual(await work(2), [200, 200]);
    assert.deepEqual(circuits.openNames(), []);
    assert.equal(log.of('circuit.closed').length, 1);
  });

  it('while a trial runs, other requests are rejected', async (t) => {
    const finish = createDeferred<object>();
    const started = createDeferred();
    let trial = false;
    const { work, move } = await mustServe(t, () => {
      if (!trial) return fail();
      started.resolve();
      return finish.promise;
    });
    await work(2);
    move(60_000);
    trial = true;
    const first = work();
    await started.promise;
    assert.deepEqual(await work(), [503]);
    finish.resolve({});
    assert.deepEqual(await first, [200]);
    assert.deepEqual(await work(), [200]);
  });

  it('errors of the client neither open nor close a circuit', async (t) => {
    let error: unknown = new AppError('not_found', 'No such thing.');
    const { work, move } = await mustServe(t, () => {
      throw error;
    });
    assert.deepEqual(await work(4), [404, 404, 404, 404]);
    error = new Error('broken');
    assert.deepEqual(await work(3), [500, 500, 503]);
    move(60_000);
    error = new AppError('not_found', 'No such thing.');
    assert.deepEqual(await work(2), [404, 404]);
    error = new Error('broken');
    assert.deepEqual(await work(2), [500, 503]);
  });

  for (const code of ['database_unavailable', 'overloaded', 'not_ready', 'outgoing_unavailable'] as const) {
    it(`the failure ${code} of another part, which rejects by itself, does not open the circuit of the route`, async (t) => {
      const { work, circuits } = await mustServe(t, () => {
        throw new AppError(code, 'Not now.');
      });
      assert.deepEqual(await work(4), [503, 503, 503, 503]);
      assert.deepEqual(circuits.openNames(), []);
    });
  }

  it('a route whose handler never returns opens its circuit by missed deadlines', async (t) => {
    const { work, circuits } = await mustServe(t, () => new Promise(() => {}));
    assert.deepEqual(await work(2), [503, 503]);
    assert.deepEqual(circuits.openNames(), ['GET /work']);
  });
});

it('the settings enable the circuits of routes, and readiness is degraded while one is open', async (t) => {
  const { api } = await mustStartApp(t, {
    env: { SECURITY_ENABLE_CIRCUIT_BREAKER: 'true', SECURITY_CIRCUIT_BREAKER_THRESHOLD: '3' },
    extraRoutes: [testRoute('GET', '/broken', fail)],
  });
  const statuses: number[] = [];
  for (let count = 0; count < 4; count += 1) statuses.push((await fetch(`${api}/broken`)).status);
  assert.deepEqual(statuses, [500, 500, 500, 503]);
  const { body } = await createApiClient(api).get('/health/ready');
  const { status, checks } = body;
  assert.deepEqual([status, checks.routes.status], ['pass', 'degraded']);
  assert.match(checks.routes.detail, /GET \/api\/v1\/broken/);
});

it('by default no route is rejected, however often it fails, and readiness has no check of routes', async (t) => {
  const { api } = await mustStartApp(t, { extraRoutes: [testRoute('GET', '/broken', fail)] });
  for (let count = 0; count < 12; count += 1) assert.equal((await fetch(`${api}/broken`)).status, 500);
  const { checks } = (await createApiClient(api).get('/health/ready')).body;
  assert.equal(checks.routes, undefined);
  assert.equal(checks.outgoing.status, 'ok');
});
