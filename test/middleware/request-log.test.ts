import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { AppError } from '../../src/errors.ts';
import type { Layer } from '../../src/http/context.ts';
import { stream } from '../../src/http/reply.ts';
import type { Route } from '../../src/http/route.ts';
import { contentValidation } from '../../src/middleware/content/content-validation.ts';
import { errorBoundary } from '../../src/middleware/error-boundary.ts';
import { requestId } from '../../src/middleware/request-id.ts';
import { requestLog } from '../../src/middleware/request-log.ts';
import { createRejectedClients } from '../../src/observability/rejected-clients.ts';
import { type CapturedLog, captureLog } from '../helpers/captured-log.ts';
import { mustStartServer, type TestServerOptions } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

interface Options extends Partial<TestServerOptions> {
  readonly bodies?: boolean;
  readonly captured?: CapturedLog;
}

function start(
  t: TestContext,
  routes: Route[],
  { bodies = false, captured = captureLog(), ...options }: Options = {},
) {
  return mustStartServer(t, {
    captured,
    routes,
    ...options,
    layers: [
      { name: 'request-id', run: requestId() },
      {
        name: 'request-log',
        run: requestLog({
          log: captured.log.named('http'),
          rejected: createRejectedClients(captured.log),
          bodies,
          serverTiming: options.timed === true,
        }),
      },
      ...(options.layers ?? []),
    ],
  });
}

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const user = testRoute('GET', '/users/:id', ({ params }) => params, { params: z.object({ id: z.string() }) });

/** Returns the lines of an event without the fields that vary between runs. */
function linesOf(captured: CapturedLog, event: string) {
  return captured.of(event).map(({ timestamp, duration_ms, ...line }) => {
    assert.ok(Math.abs(Date.parse(String(timestamp)) - Date.now()) < 60_000);
    assert.ok(duration_ms === undefined || (typeof duration_ms === 'number' && duration_ms >= 0));
    return line;
  });
}

describe('a request', () => {
  it('a request is logged when it starts and when it is complete', async (t) => {
    const server = await start(t, [user]);
    const headers = { 'x-request-id': 'abc', traceparent: `00-${trace}-00f067aa0ba902b7-00` };
    await server.request({ path: '/users/7?limit=10', headers });
    const [line] = server.log.of('http.request.complete');
    assert.match(String(line?.span_id), /^[0-9a-f]{16}$/);
    const ids = { request_id: 'abc', trace_id: trace, span_id: line?.span_id };
    assert.deepEqual(linesOf(server.log, 'http.request.start'), [
      {
        level: 'info',
        logger: 'http',
        event: 'http.request.start',
        method: 'GET',
        path: '/users/7',
        query: 'limit=10',
        ...ids,
      },
    ]);
    assert.deepEqual(linesOf(server.log, 'http.request.complete'), [
      {
        level: 'info',
        logger: 'http',
        event: 'http.request.complete',
        method: 'GET',
        path: '/users/7',
        route: '/users/:id',
        status_code: 200,
        client_address: '127.0.0.1',
        ...ids,
      },
    ]);
  });

  it('X-Process-Time is the logged duration in milliseconds', async (t) => {
    const server = await start(t, [user]);
    const { headers } = await server.request({ path: '/users/7' });
    assert.match(String(headers['x-process-time']), /^\d+\.\d{3}$/);
    assert.equal(server.log.of('http.request.complete')[0]?.duration_ms, Number(headers['x-process-time']));
  });

  it('values of secret parameters are masked in the log', async (t) => {
    const server = await start(t, [user]);
    await server.request({ path: '/users/7?token=xyz1&limit=1&api%5Fkey=xyz2&access_token=xyz3' });
    const [line] = server.log.of('http.request.start');
    assert.equal(
      line?.query,
      'token=***REDACTED***&limit=1&api%5Fkey=***REDACTED***&access_token=***REDACTED***',
    );
    assert.ok(!server.log.text().includes('xyz'));
  });

  it('e-mail addresses in path and query are masked in the log', async (t) => {
    const server = await start(t, [user]);
    await server.request({
      path: '/users/ada%40example.org?email=grace@example.org&also=emmy%40example.org',
    });
    const [line] = server.log.of('http.request.start');
    assert.equal(line?.path, '/users/a***@example.org');
    assert.equal(line?.query, 'email=g***@example.org&also=e***%40example.org');
    assert.equal(server.log.of('http.request.complete')[0]?.path, line?.path);
    assert.ok(!/ada@|grace@|emmy%40/.test(server.log.text()));
  });

  it('a request cannot inject lines or fields into the log', async (t) => {
    const server = await start(t, [user]);
    await server.request({ path: '/users/%22,%22admin%22:true%E2%80%A8%7B?%22x%22:1' });
    const [line] = linesOf(server.log, 'http.request.complete');
    assert.deepEqual([line?.path, 'admin' in (line ?? {})], ['/users/","admin":true\u2028{', false]);
    assert.equal(server.log.lines().length, 2);
  });

  it('a rejected request has one complete line with status, code and layer', async (t) => {
    const reject: Layer = {
      name: 'gate',
      run: () => assert.fail(new AppError('forbidden', 'No.', { layer: 'gate' })),
    };
    const server = await start(t, [user], { layers: [reject] });
    const { headers } = await server.request({ path: '/users/7' });
    const [line, ...more] = linesOf(server.log, 'http.request.complete');
    assert.deepEqual(more, []);
    assert.deepEqual(
      [line?.status_code, line?.code, line?.layer, line?.level],
      [403, 'forbidden', 'gate', 'info'],
    );
    assert.notEqual(headers['x-process-time'], undefined);
  });

  for (const [when, fail] of [
    ['at once', () => assert.fail(new TypeError('broken'))],
    ['later', () => Promise.reject(new TypeError('broken'))],
  ] as const) {
    it(`a request whose handler throws ${when} has one complete line at level ERROR`, async (t) => {
      const server = await start(t, [testRoute('GET', '/', fail)]);
      await server.request();
      const [line, ...more] = linesOf(server.log, 'http.request.complete');
      assert.deepEqual([line?.status_code, line?.level, more], [500, 'error', []]);
    });
  }

  it('a request without a matching route is logged with route null', async (t) => {
    const server = await start(t, [user]);
    await server.request({ path: '/nothing' });
    const [line] = linesOf(server.log, 'http.request.complete');
    assert.deepEqual([line?.route, line?.status_code, line?.code], [null, 404, 'not_found']);
  });
});

describe('a streamed response', () => {
  it('a streamed response is complete when it has been sent', async (t) => {
    const payload = new Readable({ read() {} });
    payload.push('first');
    const server = await start(t, [testRoute('GET', '/', () => stream(payload, 'text/plain'))]);
    const socket = connect(server.port, '127.0.0.1');
    socket.setEncoding('latin1').write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    for await (const chunk of socket) {
      if (!chunk.includes('first')) continue;
      assert.deepEqual(server.log.of('http.request.complete'), []);
      payload.push(null);
    }
    await server.http.close({ graceMs: 1000 });
    const [line, ...more] = server.log.of('http.request.complete');
    assert.deepEqual([line?.status_code, more], [200, []]);
  });

  it('a streamed response is complete when its client disconnects, before or during the stream', async (t) => {
    for (const wait of [false, true]) {
      const captured = captureLog();
      const server = await start(
        t,
        [
          testRoute('GET', '/', async ({ ctx }) => {
            ctx.request.socket.resetAndDestroy();
            if (wait) await once(ctx.response, 'close');
            return stream(Readable.from(['a']), 'text/plain');
          }),
        ],
        { captured },
      );
      await server.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await server.http.close({ graceMs: 100 });
      assert.equal(captured.of('http.request.complete').length, 1);
    }
  });
});

describe('Server-Timing', () => {
  it('Server-Timing has an entry with its own time for each inner layer and for the handler, if enabled', async (t) => {
    const slow: Layer = {
      name: 'slow',
      run: (ctx, next) => new Promise((resolve) => setTimeout(resolve, 30)).then(() => next(ctx)),
    };
    const quick: Layer = { name: 'quick', run: (ctx, next) => next(ctx) };
    const server = await start(t, [user], {
      layers: [quick, slow, { ...quick, name: 'inner' }],
      timed: true,
    });
    const { headers } = await server.request({ path: '/users/7' });
    const entries = String(headers['server-timing']).split(', ');
    const times = new Map(
      entries.map((entry): [string, number] => {
        const [, name = '', duration] = /^([\w-]+);dur=(\d+\.\d{3})$/.exec(entry) ?? assert.fail(entry);
        return [name, Number(duration)];
      }),
    );
    assert.deepEqual([...times.keys()], ['quick', 'slow', 'inner', 'handler']);
    assert.ok(
      (times.get('slow') ?? 0) >= 25 && (times.get('quick') ?? 99) < 20 && (times.get('inner') ?? 99) < 20,
    );
  });

  it('Server-Timing is not sent if disabled', async (t) => {
    const server = await start(t, [user]);
    assert.equal((await server.request({ path: '/users/7' })).headers['server-timing'], undefined);
  });
});

describe('the body of a request', () => {
  const echo = testRoute('POST', '/', () => 1, { body: z.unknown() });
  const layers: Layer[] = [{ name: 'content-validation', run: contentValidation() }];
  const headers = { 'content-type': 'application/json', 'x-request-id': 'abc' };

  it('the first 256 characters of a request body are logged in debug mode, masked before truncation', async (t) => {
    const server = await start(t, [echo], { bodies: true, layers });
    await server.request({
      method: 'POST',
      headers,
      body: JSON.stringify({ password: 'x'.repeat(300), name: 'y'.repeat(300) }),
    });
    const [line] = linesOf(server.log, 'http.request.body');
    assert.deepEqual([line?.level, line?.request_id], ['debug', 'abc']);
    assert.equal(line?.body, `{"password":"***REDACTED***","name":"${'y'.repeat(219)}… [+83 characters]`);
  });

  it('request bodies are not logged outside debug mode', async (t) => {
    const server = await start(t, [echo], { layers });
    await server.request({ method: 'POST', headers, body: '{"name":"Ada"}' });
    assert.ok(!server.log.text().includes('Ada'));
  });
});

describe('the log of clients that are rejected again and again', () => {
  /** A server that rejects each request with the header `x-reject`. */
  async function startRejecting(t: TestContext) {
    const captured = captureLog();
    const rejected = createRejectedClients(captured.log);
    const reject: Layer = {
      name: 'rate-limit',
      run(ctx, next) {
        if (ctx.request.headers['x-reject'] === undefined) return next(ctx);
        rejected.report(ctx, {
          code: 'rate_limited',
          event: 'rate_limit.exceeded',
          json: ',"policy":"minute"',
        });
        throw new AppError('rate_limited', 'Wait.', { layer: 'rate-limit' });
      },
    };
    const log = requestLog({ log: captured.log, rejected, bodies: false, serverTiming: false });
    const server = await mustStartServer(t, {
      captured,
      layers: [
        { name: 'error-boundary', run: errorBoundary({ log: captured.log, debug: false }) },
        { name: 'request-id', run: requestId() },
        { name: 'request-log', run: log },
        reject,
      ],
      routes: [
        testRoute('GET', '/now', () => 'now'),
        testRoute('GET', '/later', async () => {
          await new Promise(setImmediate);
          return 'later';
        }),
      ],
    });
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}${path}`, { headers });
      await response.arrayBuffer();
      return response;
    };
    const linesOf = (id: string) =>
      captured
        .lines()
        .filter((line) => line.request_id === id)
        .map(({ event }) => event);
    return { ask, linesOf };
  }

  it('the first rejection has its three lines and the next ones none, but each response is complete', async (t) => {
    const { ask, linesOf } = await startRejecting(t);
    for (const id of ['first', 'second', 'third']) {
      const response = await ask('/now', { 'x-reject': 'yes', 'x-request-id': id });
      assert.equal(response.status, 429);
      assert.match(response.headers.get('x-process-time') ?? '', /^\d+\.\d{3}$/);
    }
    assert.deepEqual(linesOf('first'), [
      'http.request.start',
      'rate_limit.exceeded',
      'http.request.complete',
    ]);
    assert.deepEqual([linesOf('second'), linesOf('third')], [[], []]);
  });

  for (const path of ['/now', '/later']) {
    it(`a served request of the same peer keeps both lines in their order, at ${path}`, async (t) => {
      const { ask, linesOf } = await startRejecting(t);
      await ask('/now', { 'x-reject': 'yes' });
      assert.equal((await ask(path, { 'x-request-id': 'served' })).status, 200);
      assert.deepEqual(linesOf('served'), ['http.request.start', 'http.request.complete']);
    });
  }
});
