import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay, setImmediate as nextLoop } from 'node:timers/promises';
import * as z from 'zod';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import type { Layer } from '../../src/http/context.ts';
import { noContent } from '../../src/http/reply.ts';
import { contentValidation } from '../../src/middleware/content/content-validation.ts';
import { messageErrors } from '../../src/middleware/message-errors.ts';
import { trustedHost } from '../../src/middleware/trusted-host.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartServer, type TestServer, type TestServerOptions } from '../helpers/http-server.ts';
import { parseResponses } from '../helpers/raw-responses.ts';
import { testRoute } from '../helpers/test-route.ts';

const layers: Layer[] = [
  { name: 'trusted-host', run: trustedHost({ allowed: ['*'] }) },
  { name: 'message-errors', run: messageErrors() },
  { name: 'content-validation', run: contentValidation() },
];

const id = z.object({ id: z.string() });
const routes = [
  testRoute('GET', '/a/:id', ({ params }) => params, { params: id }),
  testRoute('DELETE', '/a/:id', () => noContent()),
  testRoute('POST', '/b', ({ body }) => body, { body: z.strictObject({ n: z.number().optional() }) }),
];

const start = (t: TestContext, options: Partial<TestServerOptions> = {}) =>
  mustStartServer(t, { routes, layers, ...options });

const end = 'Host: x\r\nConnection: close\r\n\r\n';
const kept = 'Host: x\r\n\r\n';

describe('a request is answered once:', () => {
  const table: [
    what: string,
    bytes: string,
    status: number,
    headers?: Record<string, string>,
    body?: RegExp,
  ][] = [
    ['GET', `GET /a/1 HTTP/1.1\r\n${end}`, 200, { 'content-length': '10' }, /^\{"id":"1"\}$/],
    ['HEAD', `HEAD /a/1 HTTP/1.1\r\n${end}`, 200, { 'content-length': '10' }, /^$/],
    ['DELETE', `DELETE /a/1 HTTP/1.1\r\n${end}`, 204, {}, /^$/],
    ['OPTIONS', `OPTIONS /a/1 HTTP/1.1\r\n${end}`, 204, { allow: 'DELETE, GET, HEAD, OPTIONS' }, /^$/],
    [
      'OPTIONS *',
      `OPTIONS * HTTP/1.1\r\n${end}`,
      204,
      { allow: 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT' },
    ],
    ['GET *', `GET * HTTP/1.1\r\n${end}`, 400, {}, /"bad_target"/],
    ['HTTP/1.0 without Host', 'GET /a/1 HTTP/1.0\r\n\r\n', 200, { connection: 'close' }],
    ['an empty line before it', `\r\n\r\nGET /a/1 HTTP/1.1\r\n${end}`, 200],
    [
      'a method that is not allowed',
      `PUT /a/1 HTTP/1.1\r\n${end}`,
      405,
      { allow: 'DELETE, GET, HEAD, OPTIONS' },
    ],
    ['TRACE', `TRACE /a/1 HTTP/1.1\r\n${end}`, 405, { allow: 'DELETE, GET, HEAD, OPTIONS' }],
    ['a method that nothing here answers', `PROPFIND /a/1 HTTP/1.1\r\n${end}`, 501, {}, /PROPFIND/],
    ['no Host', 'GET /a/1 HTTP/1.1\r\nConnection: close\r\n\r\n', 400, {}, /"bad_host"/],
    ['no Host and no version', 'GET /a/1\r\n\r\n', 400, {}, /"bad_host"/],
    ['two Hosts', `GET /a/1 HTTP/1.1\r\nHost: y\r\n${end}`, 400, {}, /more than one Host/],
    ['two equal Hosts', `GET /a/1 HTTP/1.1\r\nhost: x\r\n${end}`, 400, {}, /more than one Host/],
    [
      'a malformed Host',
      'GET /a/1 HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
      400,
      {},
      /"bad_host"/,
    ],
    ['absolute-form', `GET http://y/a/1?q HTTP/1.1\r\n${end}`, 200, {}, /"1"/],
    ['absolute-form without a path', `GET http://y HTTP/1.1\r\n${end}`, 404, {}, /"instance":"\/"/],
    ['GET //', `GET // HTTP/1.1\r\n${end}`, 404],
    ['GET http://[', `GET http://[ HTTP/1.1\r\n${end}`, 400, {}, /"bad_host"/],
    ['authority-form', `GET x:80 HTTP/1.1\r\n${end}`, 400, {}, /"bad_request"/],
    [
      'a trailing slash',
      `GET /a/1/?q=1 HTTP/1.1\r\n${end}`,
      308,
      { location: '/a/1?q=1', 'content-length': '0' },
    ],
    ['a fragment', `GET /a/1#x HTTP/1.1\r\n${end}`, 400, {}, /"bad_target"/],
    ['%2F', `GET /a/%2F HTTP/1.1\r\n${end}`, 400, {}, /encoded slash/],
    ['%zz', `GET /a/%zz HTTP/1.1\r\n${end}`, 400, {}, /two hexadecimal digits/],
    ['%00', `GET /a/%00 HTTP/1.1\r\n${end}`, 400, {}, /null byte/],
    ['%0d%0a', `GET /a/%0d%0aSet-Cookie:%20a HTTP/1.1\r\n${end}`, 400, {}, /control character/],
    ['%ff', `GET /a/%ff HTTP/1.1\r\n${end}`, 400, {}, /UTF-8/],
    ['__proto__ in a path', `GET /a/__proto__ HTTP/1.1\r\n${end}`, 200, {}, /^\{"id":"__proto__"\}$/],
    ['a target of 8,192 bytes', `GET /a/${'x'.repeat(8189)} HTTP/1.1\r\n${end}`, 200],
    ['a target of 8,193 bytes', `GET /a/${'x'.repeat(8190)} HTTP/1.1\r\n${end}`, 414, {}, /"uri_too_long"/],
    ['100 header fields', `GET /a/1 HTTP/1.1\r\n${'X: y\r\n'.repeat(98)}${end}`, 200],
    [
      '101 header fields',
      `GET /a/1 HTTP/1.1\r\n${'X: y\r\n'.repeat(99)}${end}`,
      431,
      {},
      /more than 100 header fields/,
    ],
    ['1,000 header fields', `GET /a/1 HTTP/1.1\r\n${'X: y\r\n'.repeat(998)}${end}`, 431],
    [
      'an upgrade that the server does not support',
      'GET /a/1 HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n',
      200,
    ],
    [
      'a body that the route does not take',
      `GET /a/1 HTTP/1.1\r\nContent-Length: 3\r\n${end}abc`,
      400,
      { connection: 'close' },
    ],
    [
      'a chunk with trailers',
      `POST /b HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n${end}2;x=y\r\n{}\r\n0\r\nX: y\r\n\r\n`,
      200,
      {},
      /^\{\}$/,
    ],
    [
      'a transfer coding under chunked',
      `POST /b HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip, Chunked\r\n${kept}2\r\n{}\r\n0\r\n\r\n`,
      501,
      { connection: 'close' },
      /"transfer_coding_not_implemented"/,
    ],
    [
      'a transfer coding in a field before chunked',
      `POST /b HTTP/1.1\r\nTransfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\n${kept}0\r\n\r\n`,
      501,
      { connection: 'close' },
    ],
    [
      'a transfer coding in HTTP/1.0',
      'POST /b HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      { connection: 'close' },
      /"bad_request"/,
    ],
    [
      'Chunked in capitals',
      `POST /b HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: CHUNKED\r\n${end}2\r\n{}\r\n0\r\n\r\n`,
      200,
    ],
    [
      'no media type',
      `POST /b HTTP/1.1\r\nContent-Length: 2\r\n${end}{}`,
      415,
      { 'accept-post': 'application/json' },
    ],
    ['no body', `POST /b HTTP/1.1\r\n${end}`, 422],
  ];
  for (const [what, bytes, status, headers = {}, body = /^/] of table) {
    it(`${what} is ${status}`, async (t) => {
      const server = await start(t);
      const method = bytes.trimStart().split(' ')[0] ?? '';
      const [answer, ...more] = parseResponses(await server.raw(bytes), [method]);
      assert.deepEqual(more, [], 'a second answer');
      assert.ok(answer !== undefined);
      assert.equal(answer.status, status);
      assert.match(answer.body, body);
      for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers[name], value, name);
      assert.ok(Math.abs(Date.parse(answer.headers.date ?? '') - Date.now()) < 60_000);
      if (status >= 400) assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.equal((await server.request({ path: '/a/1' })).status, 200, 'other connections notice nothing');
    });
  }

  it('an empty transfer coding is rejected, by the server or by the parser of a newer Node', async (t) => {
    const server = await start(t);
    const responses = parseResponses(await server.raw(`GET /a/1 HTTP/1.1\r\nTransfer-Encoding:\r\n${kept}`));
    assert.equal(responses.length, 1);
    assert.ok([400, 501].includes(responses[0]?.status ?? 0));
    assert.equal(responses[0]?.headers.connection, 'close');
  });

  it('pipelined requests are answered in their order, however long each one takes', async (t) => {
    const server = await start(t, {
      routes: [
        ...routes,
        testRoute('GET', '/slow', () => delay(20, 'slow')),
        testRoute('GET', '/fast', () => 'fast'),
      ],
    });
    const received = await server.raw(
      `GET /slow HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"n":1}` +
        `HEAD /a/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /fast HTTP/1.1\r\n${end}`,
    );
    assert.deepEqual(
      parseResponses(received, ['GET', 'POST', 'HEAD', 'GET']).map(({ body }) => body),
      ['"slow"', '{"n":1}', '', '"fast"'],
    );
  });
});

describe('a connection', () => {
  it('a silent or slow connection is closed while other clients are answered', async (t) => {
    const server = await start(t, { server: { headersTimeoutMs: 300, requestTimeoutMs: 1000 } });
    const silent = server.raw('');
    const dripping = connect(server.port, '127.0.0.1', () => dripping.write('GET / HTTP/1.1\r\nX: '));
    const drip = setInterval(() => dripping.write('y'), 20);
    t.after(() => clearInterval(drip));
    dripping.on('error', () => {}).resume();
    const closed = once(dripping, 'close').finally(() => clearInterval(drip));
    let isOpen = true;
    const both = Promise.all([silent, closed]).finally(() => {
      isOpen = false;
    });
    let responded = 0;
    while (isOpen) {
      assert.equal((await server.request({ path: '/a/1' })).status, 200);
      responded += 1;
    }
    await both;
    assert.ok(responded > 10);
  });

  it('a connection that is idle after a response is closed after the keep-alive timeout', async (t) => {
    const server = await start(t, { server: { keepAliveMs: 50 } });
    const startedAt = performance.now();
    const [answer, ...more] = parseResponses(await server.raw('GET /a/1 HTTP/1.1\r\nHost: x\r\n\r\n'));
    assert.deepEqual([answer?.status, more], [200, []]);
    assert.ok(performance.now() - startedAt < 3000);
  });

  it('a connection whose client does not read the response is closed', async (t) => {
    const big = testRoute('GET', '/big', () => 'x'.repeat(64 * 1024 * 1024));
    const server = await start(t, { routes: [big], server: { sendTimeoutMs: 300 } });
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write('GET /big HTTP/1.1\r\nHost: x\r\n\r\n'),
    );
    t.after(() => socket.destroy());
    await once(socket, 'readable');
    assert.equal(server.http.inFlight(), 1);
    await eventually('the request is gone', () => server.http.inFlight() === 0);
  });

  it('on a connection that the server closes, later requests are ignored', async (t) => {
    let deleted = 0;
    const counting = testRoute('DELETE', '/a/:id', () => {
      deleted += 1;
      return noContent();
    });
    const server = await start(t, {
      routes: [...routes.filter(({ method }) => method === 'POST'), counting],
    });
    const behind = `DELETE /a/1 HTTP/1.1\r\n${kept}`;
    const coded = `POST /b HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n${kept}2\r\n{}\r\n0\r\n\r\n`;
    const responses = parseResponses(await server.raw(`${behind}${coded}${behind}${behind}`));
    assert.deepEqual(
      responses.map(({ status }) => status),
      [204, 501],
    );
    assert.equal(deleted, 1);
    assert.equal(server.http.inFlight(), 0);
  });
});

describe('draining', () => {
  /** A server with a route that responds when the test releases it, and a promise that the route was called. */
  async function startHeld(t: TestContext) {
    const asked = createDeferred();
    const released = createDeferred();
    const hold = testRoute('GET', '/held', () => {
      asked.resolve();
      return released.promise.then(() => 'done');
    });
    const server = await start(t, { routes: [...routes, hold] });
    return { server, asked: asked.promise, release: released.resolve };
  }

  it('draining finishes the requests in flight, with Connection: close', async (t) => {
    const { server, asked, release } = await startHeld(t);
    const received = server.raw('GET /held HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked;
    assert.equal(server.http.inFlight(), 1);
    const closed = server.http.close({ graceMs: 10_000 });
    await nextLoop();
    assert.equal(server.http.listening, false);
    release();
    const [answer, ...more] = parseResponses(await received);
    assert.deepEqual([answer?.body, answer?.headers.connection, more], ['"done"', 'close', []]);
    assert.equal(await closed, 0);
    assert.equal(server.http.inFlight(), 0);
  });

  it('a draining server accepts no new connection', async (t) => {
    const { server, asked, release } = await startHeld(t);
    const received = server.raw('GET /held HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked;
    const closed = server.http.close({ graceMs: 10_000 });
    await assert.rejects(server.request({ path: '/a/1' }), { code: 'ECONNREFUSED' });
    release();
    await Promise.all([received, closed]);
  });

  /** A connection on which one request has been answered, with functions to send and receive more. */
  async function mustConnect(t: TestContext, port: number, first = `GET /a/1 HTTP/1.1\r\n${kept}`) {
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    const ended = once(socket, 'close');
    socket.setEncoding('latin1');
    if (first !== '') {
      socket.write(first);
      await once(socket, 'data');
    }
    let received = '';
    socket.on('data', (text: string) => {
      received += text;
    });
    return {
      write: (text: string) => socket.write(text),
      /** Resolves with everything received until the server closed the connection. */
      rest: () => ended.then(() => parseResponses(received)),
    };
  }

  /** Connections are accepted in order: after the response on a later one, the earlier ones are accepted. */
  const takenBy = (server: TestServer) => server.request({ path: '/a/1' });

  const toA2 = `GET /a/2 HTTP/1.1\r\n${kept}`;

  it('a draining server answers a request on an idle connection, with Connection: close', async (t) => {
    const server = await start(t);
    const idle = await mustConnect(t, server.port);
    const closed = server.http.close({ graceMs: 10_000, lingerMs: 5_000 });
    await nextLoop();
    assert.equal(server.http.listening, false);
    idle.write(toA2);
    const [answer, ...more] = await idle.rest();
    assert.deepEqual([answer?.body, answer?.headers.connection, more], ['{"id":"2"}', 'close', []]);
    assert.equal(await closed, 0);
  });

  it('a draining server answers a request whose body is still arriving', async (t) => {
    const server = await start(t);
    const sending = await mustConnect(t, server.port);
    sending.write(`POST /b HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n${kept}{"n"`);
    await eventually('the request has arrived', () => server.http.inFlight() === 1);
    const closed = server.http.close({ graceMs: 10_000 });
    await nextLoop();
    sending.write(':1}');
    assert.deepEqual(
      (await sending.rest()).map(({ body }) => body),
      ['{"n":1}'],
    );
    assert.equal(await closed, 0);
  });

  it('a draining server answers a client that had connected without sending a request', async (t) => {
    const server = await start(t);
    const fresh = await mustConnect(t, server.port, '');
    await takenBy(server);
    const closed = server.http.close({ graceMs: 10_000, lingerMs: 4_000 });
    await nextLoop();
    fresh.write(toA2);
    assert.deepEqual(
      (await fresh.rest()).map(({ body }) => body),
      ['{"id":"2"}'],
    );
    await closed;
  });

  it('a draining server closes silent connections after lingerMs, and not before', async (t) => {
    const server = await start(t);
    const idle = await mustConnect(t, server.port);
    const fresh = await mustConnect(t, server.port, '');
    await takenBy(server);
    const startedAt = performance.now();
    assert.equal(await server.http.close({ graceMs: 10_000, lingerMs: 100 }), 0);
    const elapsed = performance.now() - startedAt;
    assert.ok(elapsed > 95 && elapsed < 4_000, `${elapsed} ms`);
    assert.deepEqual([await idle.rest(), await fresh.rest()], [[], []]);
  });

  it('a draining server keeps no idle connection longer than the keep-alive timeout', async (t) => {
    const server = await start(t, { server: { keepAliveMs: 50 } });
    const idle = await mustConnect(t, server.port);
    const startedAt = performance.now();
    assert.equal(await server.http.close({ graceMs: 10_000, lingerMs: 9_000 }), 0);
    assert.ok(performance.now() - startedAt < 4_000);
    assert.deepEqual(await idle.rest(), []);
  });

  it('a draining server lingers no longer than the grace period', async (t) => {
    const server = await start(t, { server: { keepAliveMs: 60_000 } });
    const idle = await mustConnect(t, server.port);
    assert.equal(await server.http.close({ graceMs: 50, lingerMs: 60_000 }), 0);
    assert.deepEqual(await idle.rest(), []);
  });

  it('a draining server still closes a connection whose request headers are too slow', async (t) => {
    const server = await start(t, { server: { headersTimeoutMs: 100 } });
    const slow = await mustConnect(t, server.port, '');
    slow.write('GET /a/1 HTTP/1.1\r\nHo');
    await takenBy(server);
    assert.equal(await server.http.close({ graceMs: 20_000, lingerMs: 4_000 }), 0);
    assert.deepEqual(
      (await slow.rest()).map(({ status }) => status),
      [408],
    );
  });

  it('a drain closes connections with unfinished requests after the grace period, and returns their number', async (t) => {
    const { server, asked } = await startHeld(t);
    const received = server.raw('GET /held HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked;
    assert.equal(await server.http.close({ graceMs: 20 }), 1);
    assert.equal(await received, '');
  });

  it('the drain of a server that never listened resolves at once', async (t) => {
    const server = await start(t);
    await server.http.close({ graceMs: 0 });
    assert.equal(await server.http.close({ graceMs: 0 }), 0);
  });
});

describe('a server', () => {
  it('a server whose port is in use rejects with the reason', async (t) => {
    const server = await start(t);
    const other = await start(t);
    await other.http.close({ graceMs: 0 });
    await assert.rejects(other.http.listen(server.port, '127.0.0.1'), { code: 'EADDRINUSE' });
  });

  it('a server responds with 500 and keeps running if the pipeline itself throws', async (t) => {
    for (const pipeline of [() => assert.fail('broken'), () => Promise.reject(new Error('broken'))]) {
      const server = await start(t, { server: { pipeline } });
      for (const path of ['/a/1', '/a/2']) assert.equal((await server.request({ path })).status, 500);
      assert.match(server.log.text(), /broken/);
    }
  });

  it('a server closes the connection of a response that cannot be written, and keeps running', async (t) => {
    const bad = testRoute('GET', '/bad', ({ ctx }) => {
      ctx.headers['x-bad'] = 'a\r\nb';
      return 1;
    });
    const server = await start(t, { routes: [...routes, bad] });
    await assert.rejects(server.request({ path: '/bad' }), { code: 'ECONNRESET' });
    assert.equal((await server.request({ path: '/a/1' })).status, 200);
    assert.match(JSON.stringify(server.log.of('http.request.failed')), /x-bad/);
  });
});
