import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import type { Credential } from '../../src/auth/authenticator.ts';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { loadShedding } from '../../src/middleware/load-shedding.ts';
import { createLoadShedder } from '../../src/observability/load-shedder.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { testRoute } from '../helpers/test-route.ts';

/** Starts a server that admits ten requests, eight of them anonymous; `/held` responds when the test releases it. */
async function start(t: TestContext) {
  const captured = captureLog();
  const metrics = createMetrics();
  const held = createDeferred();
  let asked = 0;
  const shedder = createLoadShedder({
    maxRequests: 10,
    targetMs: 1_000,
    queueMs: () => 0,
    log: captured.log,
    metrics,
  });
  const isKnown = (credential: Credential) =>
    credential.kind === 'bearer' ? credential.token === 'known' : credential.key === 'known-key';
  const server = await mustStartServer(t, {
    captured,
    routes: [
      testRoute('GET', '/held', () => {
        asked += 1;
        return held.promise.then(() => 'done');
      }),
      testRoute('POST', '/body', ({ body }) => body, { body: z.unknown() }),
      testRoute('GET', '/live', () => 'alive', { limit: 'exempt' }),
    ],
    layers: [
      {
        name: 'load-shedding',
        run: loadShedding({
          shedder,
          authenticator: { isKnown },
          apiKeyHeader: 'X-API-Key',
          fieldsFor: (origin) =>
            origin === 'https://page.example' ? { 'access-control-allow-origin': origin } : undefined,
        }),
      },
    ],
  });
  t.after(() => held.resolve());
  const get = (headers: Record<string, string> = {}, path = '/held') => server.request({ path, headers });
  return {
    ...{ server, shedder, metrics, log: captured, get, release: held.resolve },
    /** Fills the part of the limit that anonymous callers may use. */
    async fill() {
      const responses = Array.from({ length: 8 }, () => get());
      // A test that does not release them ends with their connections.
      for (const response of responses) response.catch(() => {});
      await eventually('eight requests are in progress', () => asked === 8);
      return responses;
    },
  };
}

describe('the layer load-shedding', () => {
  it('rejects a request over the limit with a problem that has Retry-After, its id and its path', async (t) => {
    const { get, fill, release } = await start(t);
    const admitted = await fill();
    const { status, headers, text } = await get({ origin: 'https://page.example' });
    assert.equal(status, 503);
    assert.match(String(headers['retry-after']), /^[123]$/);
    assert.equal(headers['content-type'], 'application/problem+json');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['access-control-allow-origin'], 'https://page.example');
    assert.deepEqual(JSON.parse(text), {
      type: 'urn:strata:problem:overloaded',
      title: 'Too busy',
      status: 503,
      detail: 'The server has too much work at the moment: try again.',
      instance: '/held',
      code: 'overloaded',
      layer: 'load-shedding',
      request_id: headers['x-request-id'],
    });
    release();
    for (const response of admitted) assert.equal((await response).status, 200);
    assert.equal((await get()).status, 200);
  });

  it('admits callers with a known credential when it rejects others, and made-up credentials are others', async (t) => {
    const { get, fill, release } = await start(t);
    await fill();
    for (const headers of [
      { authorization: 'Bearer made-up' },
      { 'x-api-key': 'made-up' },
      { authorization: 'Basic a' },
    ]) {
      assert.equal((await get(headers)).status, 503);
    }
    const known = [get({ authorization: 'Bearer known' }), get({ 'x-api-key': 'known-key' })];
    await eventually(
      'the limit is used',
      async () => (await get({ authorization: 'Bearer known' })).status === 503,
    );
    release();
    for (const response of known) assert.equal((await response).status, 200);
  });

  it('never rejects a probe', async (t) => {
    const { get, fill } = await start(t);
    await fill();
    assert.equal((await get({}, '/live')).status, 200);
  });

  it('does not count requests whose body is still arriving', async (t) => {
    const { server, get, release } = await start(t);
    const head =
      'POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n';
    const slow = Array.from({ length: 30 }, () => server.raw(`${head}{`));
    await eventually('their headers have arrived', () => server.http.inFlight() === 30);
    release();
    assert.equal((await get()).status, 200);
    await server.http.close({ graceMs: 0 });
    await Promise.all(slow);
  });

  it('counts a request with a body until its response, and once', async (t) => {
    const { server, shedder } = await start(t);
    for (let request = 0; request < 30; request += 1) {
      const { status } = await server.request({
        method: 'POST',
        path: '/body',
        headers: { 'content-type': 'application/json' },
        body: '{"a":1}',
      });
      assert.equal(status, 200);
    }
    assert.equal(shedder.admit('anonymous'), true);
  });

  it('counts rejections, logs the start and the end once, and describes the overload meanwhile', async (t) => {
    const { get, fill, release, metrics, shedder, log } = await start(t);
    assert.equal(shedder.problem(), undefined);
    await fill();
    for (let request = 0; request < 5; request += 1) await get();
    const labels = { caller: 'anonymous', reason: 'load' };
    assert.equal(metricValue(metrics.snapshot(), 'load_rejections_total', labels).sum, 5);
    assert.equal(metricValue(metrics.snapshot(), 'load_in_flight').sum, 8);
    assert.match(String(shedder.problem()), /process or its database is overloaded/);
    assert.equal(log.of('load.shedding_started').length, 1);
    release();
    await eventually('it has ended', () => log.of('load.shedding_ended').length === 1);
    assert.equal(log.of('load.shedding_ended')[0]?.rejected, 5);
    assert.equal(shedder.problem(), undefined);
  });
});

describe('SECURITY_ENABLE_DDOS_PROTECTION', () => {
  it('rejects requests of an overloaded program, readiness is degraded, and afterwards all requests are answered', async (t) => {
    const app = await mustStartApp(t, {
      env: { SECURITY_ENABLE_DDOS_PROTECTION: 'true', SECURITY_OVERLOAD_MAX_REQUESTS: '8' },
      extraRoutes: [
        testRoute('GET', '/work', async () => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          return 'done';
        }),
      ],
    });
    const statuses = await Promise.all(
      Array.from({ length: 40 }, () => fetch(`${app.api}/work`).then((response) => response.status)),
    );
    assert.deepEqual(
      [statuses.filter((status) => status === 200).length > 0, statuses.includes(503)],
      [true, true],
    );
    const ready = await (await fetch(`${app.api}/health/ready`)).text();
    assert.match(ready, /"load".*Some requests are rejected at the moment/);
    assert.equal((await fetch(`${app.api}/work`)).status, 200);
  });

  it('is off by default: no layer is added', async (t) => {
    const app = await mustStartApp(t);
    const names = app.log.of('middleware.registered').map(({ layer }) => layer);
    assert.ok(names.includes('metrics') && !names.includes('load-shedding'));
  });
});
