import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Layer } from '../../../src/http/context.ts';
import { contentValidation } from '../../../src/middleware/content/content-validation.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { sendThenRead } from '../../helpers/late-reader.ts';
import { parseResponses } from '../../helpers/raw-responses.ts';
import { testRoute } from '../../helpers/test-route.ts';

/** The handlers of `/held` wait for it. */
let held = createDeferred();

const routes = [
  testRoute('GET', '/', () => 'alive'),
  testRoute('GET', '/held', () => held.promise.then(() => 'held')),
  testRoute('POST', '/', ({ body }) => body, { body: z.unknown() }),
];

const start = (t: TestContext) =>
  mustStartServer(t, {
    routes,
    layers: [{ name: 'content-validation', run: contentValidation() }],
    server: { headersTimeoutMs: 300, requestTimeoutMs: 400 },
  });

const get = 'GET / HTTP/1.1\r\nHost: x\r\n';
const post = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`;
const smuggled = 'GET /held HTTP/1.1\r\nHost: x\r\n\r\n';

describe('input that is not an HTTP request gets one response, a problem, and the connection is closed:', () => {
  const table: [what: string, bytes: string | Buffer, status: number, code: string][] = [
    ['binary garbage', Buffer.from('00010203ff0d0a0d0a', 'hex'), 400, 'bad_request'],
    ['a TLS greeting', Buffer.from('16030100c8010000c40303', 'hex'), 400, 'bad_request'],
    ['no target', 'GET HTTP/1.1\r\n\r\n', 400, 'bad_request'],
    ['a method in lower case', 'get / HTTP/1.1\r\nHost: x\r\n\r\n', 501, 'method_not_implemented'],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: x\r\n\r\n', 501, 'method_not_implemented'],
    ['a method without a target', 'NONSENSE\r\n\r\n', 400, 'bad_request'],
    ['CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n', 501, 'method_not_implemented'],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'http_version_not_supported'],
    ['HTTP/3.7', 'GET / HTTP/3.7\r\nHost: x\r\n\r\n', 505, 'http_version_not_supported'],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: x\r\n\r\n', 505, 'http_version_not_supported'],
    ['HTTP/x', 'GET / HTTP/x\r\nHost: x\r\n\r\n', 400, 'bad_request'],
    ['another protocol', 'GET / GOPHER/1.0\r\n\r\n', 400, 'bad_request'],
    ['an endless target', `GET /${'x'.repeat(90_000)}`, 414, 'uri_too_long'],
    ['an endless header field', `${get}X: ${'x'.repeat(90_000)}`, 431, 'headers_too_large'],
    [
      'very many bytes of header fields',
      `${get}${`X: ${'y'.repeat(200)}\r\n`.repeat(90)}\r\n`,
      431,
      'headers_too_large',
    ],

    [
      'Content-Length and Transfer-Encoding',
      `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    [
      'Transfer-Encoding and Content-Length',
      `${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    ['two lengths', `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}${smuggled}`, 400, 'bad_request'],
    [
      'two equal lengths',
      `${post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}${smuggled}`,
      400,
      'bad_request',
    ],
    ['a list of lengths', `${post}Content-Length: 2, 3\r\n\r\n{}${smuggled}`, 400, 'bad_request'],
    ['a length with a sign', `${post}Content-Length: +2\r\n\r\n{}`, 400, 'bad_request'],
    ['a negative length', `${post}Content-Length: -2\r\n\r\n{}`, 400, 'bad_request'],
    ['a length in hexadecimal', `${post}Content-Length: 0x2\r\n\r\n{}`, 400, 'bad_request'],
    ['a length beyond 64 bits', `${post}Content-Length: 99999999999999999999\r\n\r\n{}`, 400, 'bad_request'],
    [
      'chunked that is not the last coding',
      `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    [
      'an unknown transfer coding',
      `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    [
      'chunked twice',
      `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 400, 'bad_request'],
    [
      'Transfer-Encoding with a space before the colon',
      `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad_request',
    ],
    ['a folded header field', `${get}X: a\r\n b\r\n\r\n`, 400, 'bad_request'],
    ['a header field without a name', `${get}: a\r\n\r\n`, 400, 'bad_request'],
    ['a header field without a colon', `${get}X\r\n\r\n`, 400, 'bad_request'],
    ['a control character in a header field', `${get}X: a\x01b\r\n\r\n`, 400, 'bad_request'],
    ['a null byte in a header field', `${get}X: a\x00b\r\n\r\n`, 400, 'bad_request'],
    ['bare line feeds', 'GET / HTTP/1.1\nHost: x\n\n', 400, 'bad_request'],
    ['a bare line feed after a header field', `${get}X: a\nY: b\r\n\r\n`, 400, 'bad_request'],
    ['a bare carriage return in a header field', `${get}X: a\rY: b\r\n\r\n`, 400, 'bad_request'],
    ['a chunk size that is no number', `${chunked}zz\r\n`, 400, 'bad_request'],
    ['a chunk size beyond 64 bits', `${chunked}fffffffffffffffff\r\n`, 400, 'bad_request'],
    ['a negative chunk size', `${chunked}-1\r\n`, 400, 'bad_request'],
    ['a chunk longer than its size', `${chunked}2\r\n{}x\r\n0\r\n\r\n${smuggled}`, 400, 'bad_request'],
    ['a chunk size ended by a line feed', `${chunked}2\n{}\r\n0\r\n\r\n${smuggled}`, 400, 'bad_request'],
    ['chunk extensions without end', `${chunked}2;${'x'.repeat(20_000)}`, 413, 'body_too_large'],
  ];
  for (const [what, bytes, status, code] of table) {
    it(`${what} is ${status}`, async (t) => {
      const server = await start(t);
      const received = await server.raw(bytes);
      const [answer, ...more] = parseResponses(received);
      assert.deepEqual(more, [], 'a second answer');
      assert.ok(answer !== undefined);
      const { headers, body } = answer;
      assert.equal(answer.status, status);
      assert.equal(headers['content-type'], 'application/problem+json');
      assert.equal(headers.connection, 'close');
      assert.ok(Math.abs(Date.parse(headers.date ?? '') - Date.now()) < 60_000);
      const problem = JSON.parse(body);
      assert.deepEqual([problem.status, problem.code], [status, code]);
      assert.equal((await server.request()).json, 'alive', 'other connections notice nothing');
    });
  }
});

describe('the error response to a HEAD request has no body (RFC 9110, section 9.3.2):', () => {
  const table: [what: string, bytes: string, status: number][] = [
    ['a space before the colon', 'HEAD / HTTP/1.1\r\nHost : x\r\n\r\n', 400],
    ['an empty line before it', '\r\nHEAD / HTTP/1.1\r\nHost : x\r\n\r\n', 400],
    ['two lengths', 'HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['an endless target', `HEAD /${'x'.repeat(90_000)}`, 414],
    ['a long target', `HEAD /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 414],
    ['endless header fields', `HEAD / HTTP/1.1\r\nX: ${'x'.repeat(90_000)}`, 431],
    ['another version', 'HEAD / HTTP/3.7\r\nHost: x\r\n\r\n', 505],
    [
      'a chunk size that is no number',
      `HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
    ['headers that stop in the middle', 'HEAD / HTTP/1.1\r\nX-Slow: ', 408],
    ['a body that does not come', 'HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{', 400],
  ];
  for (const [what, bytes, status] of table) {
    it(`${what} is ${status}`, async (t) => {
      const server = await start(t);
      const [answer, ...more] = parseResponses(await server.raw(bytes), ['HEAD']);
      assert.deepEqual([answer?.status, more], [status, []]);
    });
  }

  it('a rejected HEAD after a request with a body gets a response without a body', async (t) => {
    const server = await start(t);
    const first = `${post}Content-Length: 2\r\n\r\n{}`;
    const received = await server.raw(`${first}HEAD / HTTP/1.1\r\nHost : x\r\n\r\n`);
    assert.deepEqual(
      parseResponses(received, ['POST', 'HEAD']).map(({ status }) => status),
      [200, 400],
    );
  });

  it('a rejected HEAD in a later packet gets a response without a body', async (t) => {
    const server = await start(t);
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.write('HEAD / HTTP/1.1\r\nHost: x\r\n');
      server.request().then(() => socket.write('X : y\r\n\r\n'));
    });
    let received = '';
    for await (const chunk of socket.setEncoding('latin1')) received += chunk;
    assert.deepEqual(
      parseResponses(received, ['HEAD']).map(({ status }) => status),
      [400],
    );
  });
});

describe('a target that is too long is 414, and header fields that are too long are 431 (RFC 9112, section 3):', () => {
  const target = (length: number) =>
    `GET /${'x'.repeat(length - 1)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
  const table: [what: string, bytes: string, status: number][] = [
    ['a target of 8,192 bytes', `${target(8192)}\r\n`, 404],
    ['a target of 8,193 bytes', `${target(8193)}\r\n`, 414],
    ['a target of 9,000 bytes', `${target(9000)}\r\n`, 414],
    ['a target of 20,000 bytes', `${target(20_000)}\r\n`, 414],
    ['a target of 33,000 bytes', `${target(33_000)}\r\n`, 414],
    ['a target of 60,000 bytes', `${target(60_000)}\r\n`, 414],
    ['a target of 60,000 bytes and long fields', `${target(60_000)}X: ${'x'.repeat(9000)}\r\n\r\n`, 414],
    ['fields of 16,300 bytes', `${target(10)}X: ${'x'.repeat(16_300)}\r\n\r\n`, 404],
    ['fields of 16,384 bytes', `${target(10)}X: ${'x'.repeat(16_384)}\r\n\r\n`, 431],
    ['fields of 20,000 bytes', `${target(10)}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['fields of 50,000 bytes', `${target(10)}X: ${'x'.repeat(50_000)}\r\n\r\n`, 431],
    [
      'a target of 8,192 bytes and fields of 8,192 bytes',
      `${target(8192)}X: ${'x'.repeat(8192)}\r\n\r\n`,
      431,
    ],
  ];
  for (const [what, bytes, status] of table) {
    it(`${what} is ${status}`, async (t) => {
      const server = await start(t);
      const [answer, ...more] = parseResponses(await server.raw(bytes));
      assert.deepEqual([answer?.status, more], [status, []]);
    });
  }
});

describe('CONNECT', () => {
  it('CONNECT passes the pipeline like every request, and its connection is closed', async (t) => {
    const seen: string[] = [];
    const watch: Layer = {
      name: 'watch',
      run: (ctx, next) => {
        seen.push(`${ctx.method} ${ctx.messageError?.code}`);
        return next(ctx);
      },
    };
    const server = await mustStartServer(t, { routes, layers: [watch] });
    for (const fields of ['', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n']) {
      const received = await server.raw(
        `CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n${fields}\r\n${smuggled}`,
      );
      const [answer, ...more] = parseResponses(received);
      assert.deepEqual([answer?.status, answer?.headers.connection, more], [501, 'close', []]);
    }
    assert.deepEqual(seen, Array(3).fill('CONNECT method_not_implemented'));
    await eventually('the connections are closed', () => server.http.inFlight() === 0);
    assert.deepEqual(server.malformed, []);
  });
});

describe('what never becomes a request', () => {
  it('malformed input is reported with the reason, the status of the response and the address of the peer', async (t) => {
    const server = await start(t);
    await server.raw('BREW / HTTP/1.1\r\nHost: x\r\n\r\n');
    const report = {
      reason: 'HPE_INVALID_METHOD',
      status: 501,
      clientAddress: '127.0.0.1',
      inPipeline: false,
    };
    assert.deepEqual(server.malformed, [report]);
  });

  for (const [what, bytes] of [
    ['a silent connection', ''],
    ['headers that stop in the middle', `${get}X-Slow: `],
    ['a request line that stops in the middle', 'GET /'],
  ] as const) {
    it(`input that does not arrive is 408 in time: ${what}`, async (t) => {
      const server = await start(t);
      const startedAt = performance.now();
      const [answer, ...more] = parseResponses(await server.raw(bytes));
      assert.deepEqual([answer?.status, answer?.headers.connection, more], [408, 'close', []]);
      assert.ok(performance.now() - startedAt < 2000);
    });
  }

  it('a body that does not arrive is 408 if no reader has given up before', async (t) => {
    const server = await start(t);
    const [answer, ...more] = parseResponses(await server.raw(`${post}Content-Length: 10\r\n\r\n{`));
    assert.deepEqual([answer?.status, answer?.headers.connection, more], [408, 'close', []]);
  });

  it('malformed input after a request does not prevent the response to that request', async (t) => {
    const server = await start(t);
    for (const behind of [
      'GET / HTTP/1.1\r\nHost : x\r\n\r\n',
      `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`,
    ]) {
      held = createDeferred();
      const responses = server.raw(`${smuggled}${get}\r\n${behind}`);
      await server.request();
      held.resolve();
      assert.deepEqual(
        parseResponses(await responses).map(({ status }) => status),
        [200, 200, 400],
      );
    }
  });

  it('malformed input after several requests waits for all of their responses', async (t) => {
    const second = createDeferred();
    const server = await mustStartServer(t, {
      routes: [
        testRoute('GET', '/first', async () => 'first'),
        testRoute('GET', '/second', () => second.promise.then(() => 'second')),
      ],
    });
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const socket = connect(server.port, '127.0.0.1', () => socket.write(ask('/first') + ask('/second')));
    // After the response to a later request, all earlier input has been read.
    const respondToSecond = () => void server.request().then(() => second.resolve());
    let received = '';
    for await (const chunk of socket.setEncoding('latin1')) {
      received += chunk;
      if (received.endsWith('"first"')) socket.write('GET / HTTP/1.1\r\nHost : x\r\n\r\n', respondToSecond);
    }
    assert.deepEqual(
      parseResponses(received).map(({ status }) => status),
      [200, 200, 400],
    );
  });

  it('malformed input after Connection: close gets no response', async (t) => {
    const server = await start(t);
    held = createDeferred();
    const responses = server.raw(`GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n${get}\r\n`);
    await server.request();
    held.resolve();
    assert.deepEqual(
      parseResponses(await responses).map(({ status, body }) => [status, body]),
      [[200, '"held"']],
    );
  });

  it('a client that sends megabytes of malformed input can still read the response', async (t) => {
    const server = await start(t);
    const chunks = Array.from({ length: 40 }, () => '\x00'.repeat(100_000));
    assert.deepEqual(
      parseResponses(await sendThenRead(server.port, chunks)).map(({ status }) => status),
      [400],
    );
  });

  it('a message that its client ends in the middle is 400, if the client still reads', async (t) => {
    const server = await start(t);
    const received = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
      let text = '';
      socket.setEncoding('latin1').on('data', (data: string) => {
        text += data;
      });
      socket.on('error', reject).on('close', () => resolve(text));
      socket.end('GET /');
    });
    assert.deepEqual(
      parseResponses(received).map(({ status }) => status),
      [400],
    );
  });
});
