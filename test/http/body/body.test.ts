import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Layer } from '../../../src/http/context.ts';
import { contentValidation } from '../../../src/middleware/content/content-validation.ts';
import { mustStartServer, type TestServerOptions } from '../../helpers/http-server.ts';
import { sendThenRead } from '../../helpers/late-reader.ts';
import { parseResponses } from '../../helpers/raw-responses.ts';
import { testRoute } from '../../helpers/test-route.ts';

const layer: Layer = { name: 'content-validation', run: contentValidation() };

/** A server that accepts bodies of up to 1,000 bytes and responds with their lengths. */
async function start(t: TestContext, options: Partial<TestServerOptions> = {}) {
  return mustStartServer(t, {
    maxBytes: 1000,
    routes: [
      testRoute('POST', '/', ({ body }) => String(body).length, {
        body: z.string(),
        accepts: ['text/plain'],
      }),
      testRoute('POST', '/small', () => 1, { body: z.string(), accepts: ['text/plain'], maxBody: 10 }),
      testRoute('GET', '/', () => 'alive'),
    ],
    layers: [layer],
    ...options,
  });
}

const head = (fields: string) =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${fields}\r\n\r\n`;
const chunk = (size: number) => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;

/** Returns the status, the code and the connection header of the only response. */
function onlyResponse(received: string) {
  const [answer, ...more] = parseResponses(received);
  assert.deepEqual(more, []);
  assert.ok(answer !== undefined && answer.headers.date !== undefined);
  return { status: answer.status, code: JSON.parse(answer.body).code, connection: answer.headers.connection };
}

for (const layers of [[layer], []]) {
  describe(`a body ${layers.length === 0 ? 'without' : 'with'} the content-validation layer`, () => {
    it('a body of exactly the limit is accepted, with a declared length or in chunks', async (t) => {
      const server = await start(t, { layers });
      for (const request of [
        `${head('Connection: close\r\nContent-Length: 1000')}${'x'.repeat(1000)}`,
        `${head('Connection: close\r\nTransfer-Encoding: chunked')}${chunk(400)}${chunk(600)}0\r\n\r\n`,
      ]) {
        assert.equal(parseResponses(await server.raw(request))[0]?.body, '1000');
      }
    });

    it('a body of one byte over the limit is 413, with a declared length or in chunks', async (t) => {
      const server = await start(t, { layers });
      for (const [request, connection] of [
        // The rest of a short body is discarded.
        [`${head('Content-Length: 1001')}${'x'.repeat(1001)}`, 'keep-alive'],
        [`${head('Content-Length: 70000')}${'x'.repeat(70_000)}`, 'close'],
        [`${head('Transfer-Encoding: chunked')}${chunk(400)}${chunk(601)}0\r\n\r\n`, 'close'],
      ] as const) {
        const expected = { status: 413, code: 'body_too_large', connection };
        assert.deepEqual(onlyResponse(await server.raw(request)), expected);
      }
    });

    it('after a rejected short body, the next request of the connection gets its own response', async (t) => {
      const server = await start(t, { layers });
      const received = await server.raw(
        `${head('Content-Length: 1001')}${'x'.repeat(1001)}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      assert.deepEqual(
        parseResponses(received).map(({ status, body }) => [
          status,
          status === 200 ? body : JSON.parse(body).code,
        ]),
        [
          [413, 'body_too_large'],
          [200, '"alive"'],
        ],
      );
    });

    it('a rejected short body that ends too early causes no second response', async (t) => {
      const server = await start(t, { layers });
      assert.equal(onlyResponse(await server.raw(`${head('Content-Length: 1001')}x`)).status, 413);
    });

    it('a body that stops arriving is 408 at the deadline', async (t) => {
      const server = await start(t, { layers, bodyTimeoutMs: 100 });
      for (const fields of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
        const received = await server.raw(`${head(fields)}1\r\nx`, /"code".*\}$/);
        assert.deepEqual(onlyResponse(received), {
          status: 408,
          code: 'request_timeout',
          connection: 'close',
        });
      }
    });

    it('a body with a Content-Encoding is 415 with Accept-Encoding', async (t) => {
      const server = await start(t, { layers });
      for (const coding of ['gzip', 'br', 'deflate', 'gzip, identity', 'x']) {
        const headers = { 'content-type': 'text/plain', 'content-encoding': coding };
        const {
          status,
          headers: answered,
          json,
        } = await server.request({ method: 'POST', headers, body: 'x' });
        assert.deepEqual(
          [status, json.code, answered['accept-encoding']],
          [415, 'unsupported_encoding', 'identity'],
        );
      }
      const headers = { 'content-type': 'text/plain', 'content-encoding': 'Identity' };
      assert.equal((await server.request({ method: 'POST', headers, body: 'x' })).status, 200);
    });
  });
}

describe('a body', () => {
  it('the limit of the route takes precedence over the default', async (t) => {
    const server = await start(t);
    const send = (body: string) =>
      server.request({ method: 'POST', path: '/small', headers: { 'content-type': 'text/plain' }, body });
    assert.equal((await send('x'.repeat(10))).status, 200);
    const { status, json } = await send('x'.repeat(11));
    assert.deepEqual(
      [status, json.detail],
      [413, 'The body is larger than the 10 bytes that this route accepts.'],
    );
    assert.equal(json.layer, 'content-validation');
  });

  it('an empty body counts as no body, with a declared length or in chunks', async (t) => {
    const server = await start(t);
    const declared = await server.raw(head('Connection: close\r\nContent-Length: 0'));
    assert.equal(parseResponses(declared)[0]?.status, 422);
    const chunked = await server.raw(`${head('Connection: close\r\nTransfer-Encoding: chunked')}0\r\n\r\n`);
    assert.equal(parseResponses(chunked)[0]?.status, 422);
  });

  it('a client that sends all of a body far over the limit can still read the 413', async (t) => {
    const server = await start(t);
    const chunks = Array.from({ length: 8 }, () => 'x'.repeat(1_000_000));
    const received = await sendThenRead(server.port, [head('Content-Length: 8000000'), ...chunks]);
    assert.deepEqual(onlyResponse(received), { status: 413, code: 'body_too_large', connection: 'close' });
  });

  it('a body with a declared length over the limit is rejected before it arrives', async (t) => {
    const server = await start(t);
    const startedAt = performance.now();
    const received = await server.raw(head('Content-Length: 1001'), '"code"');
    assert.ok(received.startsWith('HTTP/1.1 413 ') && performance.now() - startedAt < 1000);
  });

  it('a client that waits for 100 Continue gets it only if its body would be accepted', async (t) => {
    const server = await start(t);
    const expecting = (length: number) =>
      head(`Connection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}`);

    const socket = connect(server.port, '127.0.0.1');
    t.after(() => socket.destroy());
    const received = await new Promise<string>((resolve) => {
      let text = '';
      socket.setEncoding('latin1').on('data', (data: string) => {
        text += data;
        if (text === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('x'.repeat(500));
      });
      socket.on('end', () => resolve(text));
      socket.write(expecting(500));
    });
    const responses = parseResponses(received).map(({ status, body }) => [status, body]);
    assert.deepEqual(responses, [
      [100, ''],
      [200, '500'],
    ]);

    const startedAt = performance.now();
    assert.equal(onlyResponse(await server.raw(expecting(70_000))).status, 413);
    assert.ok(performance.now() - startedAt < 1000, 'no reader waits for a body that will not arrive');
  });

  it('a request with another expectation is 417, and its body is not read', async (t) => {
    const server = await start(t);
    const received = await server.raw(
      `${head('Connection: close\r\nExpect: miracles\r\nContent-Length: 1')}x`,
    );
    assert.deepEqual(onlyResponse(received), {
      status: 417,
      code: 'expectation_failed',
      connection: 'close',
    });
  });

  it('a client that disconnects in the middle of a body gets no response, and the server keeps running', async (t) => {
    const gone = createDeferred();
    const watch: Layer = { name: 'watch', run: (ctx, next) => next(ctx)?.finally(() => gone.resolve()) };
    const server = await start(t, { layers: [watch, layer] });
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write(`${head('Content-Length: 10')}x`, () => socket.resetAndDestroy()),
    );
    await gone.promise;
    assert.equal((await server.request()).json, 'alive');
  });
});
