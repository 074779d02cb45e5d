import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Channel, channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createHttpClient } from '../../src/http-client/http-client.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { finishTracing } from '../../src/observability/trace-channels.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';
import { testRoute } from '../helpers/test-route.ts';

const names = ['strata.http.request', 'strata.db.query', 'strata.http_client.request'] as const;

/** Starts an application with a route that queries the database and calls another service, which returns its `traceparent`. */
async function mustStart(t: TestContext) {
  const service = createServer((request, response) => response.end(request.headers.traceparent ?? 'none'));
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  t.after(() => void service.close());
  const { port }: Pick<AddressInfo, 'port'> = Object(service.address());
  const metrics = createMetrics();
  const client = createHttpClient({
    ...{ log: captureLog().log, metrics, circuitMetrics: createCircuitMetrics(metrics), userAgent: 'test' },
    allowedAddresses: ['127.0.0.1'],
  });
  t.after(() => client.close());
  const work = testRoute('GET', '/work/:id', async ({ ctx }) => {
    if (ctx.target.query === 'fail') await app.database.sql`select 1 / ${0}::integer`;
    await app.database.transaction((transaction) => transaction`select ${'a secret'}::text as value`);
    const url = `http://127.0.0.1:${port}/things?token=secret`;
    return (await client.fetch(url, { service: 'things' })).text();
  });
  const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), extraRoutes: [work] });
  return { app, get: (path: string, headers = {}) => fetch(`${app.api}${path}`, { headers }) };
}

interface SeenSpan {
  readonly name: string;
  readonly message: Record<string, unknown>;
  readonly parent: SeenSpan | undefined;
  ended: boolean;
}

/** Attaches a tracer that keeps its current span in an AsyncLocalStorage of its own, as tracers do. */
function attachTracer(t: TestContext, onStart: (message: Record<string, unknown>) => void = () => {}) {
  const current = new AsyncLocalStorage<SeenSpan>();
  const spans: SeenSpan[] = [];
  for (const name of names) {
    const operations: TracingChannel<SeenSpan, Record<string, unknown>> = tracingChannel(name);
    operations.start.bindStore(current, (message) => {
      const span = { name, message, parent: current.getStore(), ended: false };
      spans.push(span);
      onStart(message);
      return span;
    });
    const asyncEnd = (message: unknown) => {
      const span = spans.find((each) => each.message === message);
      assert.equal(span?.ended, false);
      if (span !== undefined) span.ended = true;
    };
    operations.asyncEnd.subscribe(asyncEnd);
    t.after(() => {
      operations.start.unbindStore(current);
      operations.asyncEnd.unsubscribe(asyncEnd);
    });
  }
  return { spans, of: (name: string) => spans.filter((span) => span.name === name) };
}

describe('the channels for tracers', () => {
  it('nothing is published while no tracer listens', async (t) => {
    const published: string[] = [];
    for (const method of ['publish', 'runStores'] as const) {
      const original = Reflect.get(Channel.prototype, method);
      t.mock.method(Channel.prototype, method, function (this: Channel, ...args: unknown[]) {
        if (String(this.name).includes('strata')) published.push(String(this.name));
        return Reflect.apply(original, this, args);
      });
    }
    const { get } = await mustStart(t);
    assert.equal((await get('/work/1')).status, 200);
    await finishTracing(1_000);
    assert.deepEqual(published, []);
  });

  it('a tracer gets a span for each request, with those of its SQL statements and outgoing calls inside', async (t) => {
    const { app, get } = await mustStart(t);
    const { spans, of } = attachTracer(t);
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const answer = await get('/work/7?token=hidden', { traceparent, 'x-request-id': 'r-1' });
    await eventually('all spans have ended', () => spans.every((span) => span.ended));
    const [request] = of('strata.http.request');
    assert.ok(request !== undefined);
    const { trace, parent, ...message } = request.message;
    assert.deepEqual(message, {
      ...{ method: 'GET', route: '/api/v1/work/:id', path: '/api/v1/work/7', query: 'token=***REDACTED***' },
      ...{ requestId: 'r-1', httpVersion: '1.1', link: undefined, status: 200 },
      ...{ clientAddress: '127.0.0.1', scheme: 'http', host: new URL(app.url).host },
    });
    assert.deepEqual(Object(parent).spanId, '00f067aa0ba902b7');
    const [line] = app.log.of('http.request.complete');
    assert.deepEqual([line?.trace_id, line?.span_id], [Object(trace).traceId, Object(trace).spanId]);

    assert.deepEqual(
      of('strata.db.query').map(({ message: { statement, command, rows }, parent: above }) => [
        ...[statement, command, rows, above === request],
      ]),
      [
        ['begin', 'BEGIN', undefined, true],
        ['select $1::text as value', 'SELECT', 1, true],
        ['commit', 'COMMIT', undefined, true],
      ],
    );
    const [call] = of('strata.http_client.request');
    assert.equal(call?.parent, request);
    assert.deepEqual(
      [call?.message.service, call?.message.method, call?.message.status, call?.message.resendCount],
      ['things', 'GET', 200, 0],
    );
    assert.match(String(call?.message.url), /^http:\/\/127\.0\.0\.1:\d+\/things$/);
    const { traceId, spanId } = Object(call?.message.trace);
    assert.notEqual(spanId, Object(trace).spanId);
    assert.equal(await answer.json(), `00-${traceId}-${spanId}-01`);
  });

  it('the ids that a tracer chooses are in the log and in outgoing requests', async (t) => {
    const { app, get } = await mustStart(t);
    const own = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), flags: 1, state: undefined };
    attachTracer(t, (message) => {
      if ('trace' in message) message.trace = own;
    });
    assert.equal(await (await get('/work/1')).json(), `00-${own.traceId}-${own.spanId}-01`);
    const [line] = app.log.of('http.request.complete');
    assert.deepEqual([line?.trace_id, line?.span_id], [own.traceId, own.spanId]);
  });

  it('a span has the error of a failed query, and the status of the request that failed', async (t) => {
    const { get } = await mustStart(t);
    const { spans, of } = attachTracer(t);
    const errors: unknown[] = [];
    const onError = (message: unknown) => errors.push(Object(message).error.code);
    const failed = channel('tracing:strata.db.query:error');
    failed.subscribe(onError);
    t.after(() => void failed.unsubscribe(onError));
    assert.equal((await get('/work/1?fail')).status, 500);
    assert.equal((await get('/nowhere')).status, 404);
    await eventually('all spans have ended', () => spans.every((span) => span.ended));
    assert.deepEqual(errors, ['22012']);
    assert.deepEqual(
      of('strata.http.request').map(({ message }) => [message.route, message.status]),
      [
        ['/api/v1/work/:id', 500],
        [undefined, 404],
      ],
    );
  });
});

describe('the end of a process', () => {
  it('the end of a process waits for tracers, but not longer than its limit', async (t) => {
    const stop = channel('strata.stop');
    let hasSent = false;
    const onStop = (message: unknown) =>
      Object(message).waitUntil(
        new Promise<void>((resolve) =>
          setImmediate(() => {
            hasSent = true;
            resolve();
          }),
        ),
      );
    stop.subscribe(onStop);
    t.after(() => void stop.unsubscribe(onStop));
    await finishTracing(10_000);
    assert.equal(hasSent, true);

    const onStopForever = (message: unknown) => Object(message).waitUntil(new Promise(() => {}));
    stop.subscribe(onStopForever);
    t.after(() => void stop.unsubscribe(onStopForever));
    await finishTracing(1);
  });
});
