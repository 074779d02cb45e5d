import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { AppError } from '../../src/errors.ts';
import type { Layer } from '../../src/http/context.ts';
import { EventStream, eventStreamType } from '../../src/http/event-stream.ts';
import { stream } from '../../src/http/reply.ts';
import type { Route } from '../../src/http/route.ts';
import { compression } from '../../src/middleware/content/compression.ts';
import { errorBoundary } from '../../src/middleware/error-boundary.ts';
import { countRequests } from '../../src/middleware/metrics.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { testRoute } from '../helpers/test-route.ts';

async function start(t: TestContext, routes: Route[], layers: Layer[] = []) {
  const metrics = createMetrics();
  const { log } = captureLog();
  const server = await mustStartServer(t, {
    routes,
    layers: [
      { name: 'metrics', run: countRequests(metrics) },
      { name: 'error-boundary', run: errorBoundary({ log, debug: false }) },
      ...layers,
    ],
  });
  return {
    ...server,
    metrics,
    value: (name: string, labels: Record<string, string> = {}) =>
      metricValue(metrics.snapshot(), name, labels),
    /** Returns the label values of counted requests with their number. */
    counted: () =>
      (metrics.snapshot().find(({ name }) => name === 'http_requests_total')?.series ?? []).map(
        ({ values, numbers }) => `${values.join(' ')}: ${numbers[0]}`,
      ),
  };
}

const params = z.object({ id: z.string() });
const user = testRoute('GET', '/users/:id', ({ params }) => params, { params });
const echo = testRoute('POST', '/echo', ({ body }) => body, { body: z.unknown() });

describe('requests are counted', () => {
  it('requests are counted by the template of their route, whatever their path', async (t) => {
    const server = await start(t, [user]);
    for (let id = 0; id < 20; id += 1) await server.request({ path: `/users/${id}?q=${id}` });
    assert.deepEqual(server.counted(), ['GET /users/:id 200: 20']);
  });

  it('requests without a matching route are counted under none', async (t) => {
    const server = await start(t, [user]);
    for (const path of ['/a', '/b', '/users/']) await server.request({ path });
    await server.request({ method: 'POST', path: '/users/1' });
    assert.deepEqual(server.counted().sort(), ['GET none 404: 3', 'POST none 405: 1']);
  });

  it('requests with unknown methods are counted under one label', async (t) => {
    const server = await start(t, [user]);
    for (const method of ['PROPFIND', 'MKCOL'])
      await server.raw(`${method} /users/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.deepEqual(server.counted(), ['OTHER none 501: 2']);
  });

  it('requests are counted with the status that the client gets, for rejections and errors, synchronous or not', async (t) => {
    const reject = () => assert.fail(new AppError('forbidden', 'No.'));
    const server = await start(t, [
      testRoute('GET', '/refused', reject),
      testRoute('GET', '/refused-later', async () => reject()),
      testRoute('GET', '/broken', () => assert.fail(new TypeError('broken'))),
      testRoute('GET', '/broken-later', () => Promise.reject(new TypeError('broken'))),
    ]);
    for (const path of ['/refused', '/refused-later', '/broken', '/broken-later'])
      await server.request({ path });
    assert.deepEqual(server.counted(), [
      'GET /refused 403: 1',
      'GET /refused-later 403: 1',
      'GET /broken 500: 1',
      'GET /broken-later 500: 1',
    ]);
  });
});

describe('the size of a response', () => {
  it('the size of a response is that of the body on the wire, also for errors and compressed bodies', async (t) => {
    const large = testRoute('GET', '/large', () => 'ä'.repeat(5000));
    const run = compression({ minBytes: 1000 });
    const server = await start(t, [user, large], [{ name: 'compression', run }]);
    const answers = [
      await server.request({ path: '/users/7' }),
      await server.request({ path: '/nothing' }),
      await server.request({ path: '/large' }),
      await server.request({ path: '/large', headers: { 'accept-encoding': 'gzip' } }),
      await server.request({ method: 'HEAD', path: '/large' }),
    ];
    assert.equal(answers[3]?.headers['content-encoding'], 'gzip');
    const bytes = answers.reduce((sum, answer) => sum + answer.bytes.length, 0);
    assert.deepEqual(server.value('http_response_size_bytes'), { count: 5, sum: bytes });
  });

  for (const [when, wait] of [
    ['at once', () => undefined],
    ['later', () => Promise.resolve()],
  ] as const) {
    it(`the size of a stream that a handler returns ${when} is that of all its chunks, and no chunk is lost`, async (t) => {
      const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(10_000, index));
      const payload = () => stream(Readable.from(chunks), 'application/octet-stream');
      const handler = () => wait()?.then(payload) ?? payload();
      const server = await start(t, [testRoute('GET', '/', handler)]);
      const { bytes } = await server.request();
      assert.ok(bytes.equals(Buffer.concat(chunks)));
      await eventually('the stream is counted', () => server.value('http_requests_total').count === 1);
      assert.deepEqual(server.value('http_response_size_bytes'), { count: 1, sum: 400_000 });
    });
  }
});

describe('a streamed response', () => {
  it('a streamed response is counted when it has been sent', async (t) => {
    const payload = new Readable({ read() {} });
    payload.push('first');
    const server = await start(t, [testRoute('GET', '/', () => stream(payload, 'text/plain'))]);
    const socket = connect(server.port, '127.0.0.1');
    socket.setEncoding('latin1').write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    for await (const chunk of socket) {
      if (!chunk.includes('first')) continue;
      assert.deepEqual(server.counted(), []);
      payload.push('second');
      payload.push(null);
    }
    await eventually('the stream is counted', () => server.counted().length > 0);
    assert.deepEqual(server.value('http_response_size_bytes'), { count: 1, sum: 11 });
  });

  it('an event stream is counted when it closes, with the time until its first byte', async (t) => {
    const events = new EventStream<number>({ render: () => ({ id: '1', event: 'e', data: '' }) });
    const server = await start(t, [testRoute('GET', '/', () => stream(events, eventStreamType))]);
    const answer = server.request();
    const since = performance.now();
    await eventually('it has been open for a while', () => performance.now() - since > 300);
    assert.deepEqual(server.counted(), []);
    events.finish();
    await answer;
    await eventually('the stream is counted', () => server.counted().length > 0);
    const { count, sum } = server.value('http_request_duration_seconds');
    assert.ok(count === 1 && sum < 0.25, `${count} in ${sum} s`);
  });

  it('a streamed response is counted if its client disconnects, before or during the stream', async (t) => {
    for (const wait of [false, true]) {
      const server = await start(t, [
        testRoute('GET', '/', async ({ ctx }) => {
          ctx.request.socket.resetAndDestroy();
          if (wait) await once(ctx.response, 'close');
          return stream(Readable.from(['a']), 'text/plain');
        }),
      ]);
      await server.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await eventually('the request is counted', () => server.value('http_requests_total').count === 1);
    }
  });
});

describe('the size of a request', () => {
  it('the size of a request is that of its body, with or without Content-Length', async (t) => {
    const server = await start(t, [echo, user]);
    const headers = { 'content-type': 'application/json' };
    await server.request({ method: 'POST', path: '/echo', headers, body: '{"a":1}' });
    await server.request({
      method: 'POST',
      path: '/echo',
      headers: { ...headers, 'transfer-encoding': 'chunked' },
      body: '{"ab":1}',
    });
    await server.request({ path: '/users/1' });
    assert.deepEqual(server.value('http_request_size_bytes'), { count: 3, sum: 15 });
  });

  it('the size of a request is 0 if its body was rejected unread, whatever its Content-Length', async (t) => {
    const server = await start(t, [echo]);
    await server.raw(
      'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000000000\r\n\r\n',
      /\r\n\r\n\{/,
    );
    assert.deepEqual(server.value('http_request_size_bytes', { status: '413' }), { count: 1, sum: 0 });
  });
});

it('the duration is in seconds, from the headers of the request to its response', async (t) => {
  const waited = testRoute('GET', '/', async () => {
    await new Promise((resolve) => setTimeout(resolve, 60));
    return null;
  });
  const server = await start(t, [waited]);
  const startedAt = performance.now();
  await server.request();
  const seconds = (performance.now() - startedAt) / 1000;
  const { count, sum } = server.value('http_request_duration_seconds', { route: '/', status: '200' });
  assert.equal(count, 1);
  assert.ok(sum >= 0.05 && sum <= seconds, `${sum} of ${seconds}`);
});
