import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { noContent, raw, stream } from '../../src/http/reply.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { parseResponses } from '../helpers/raw-responses.ts';
import { testRoute } from '../helpers/test-route.ts';

/** A stream that emits one chunk and then nothing until it is ended. */
function openStream(): Readable {
  const readable = new Readable({ read() {} });
  readable.push('first');
  return readable;
}

const ask = (method: string, path = '/') =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;

async function responsesOf(t: TestContext, returned: () => unknown, request = ask('GET')) {
  const server = await mustStartServer(t, { routes: [testRoute('GET', '/', returned)] });
  return parseResponses(await server.raw(request), [request.split(' ')[0] ?? '']);
}

describe('a response on the wire', () => {
  it('a response has Date and the length of its bytes', async (t) => {
    const [answer] = await responsesOf(t, () => raw('é€', 'text/plain'));
    assert.equal(answer?.headers['content-length'], '5');
    assert.ok(Math.abs(Date.parse(answer?.headers.date ?? '') - Date.now()) < 60_000);
  });

  it('a response without content has the length 0', async (t) => {
    const [answer] = await responsesOf(t, () => raw('', 'text/plain'));
    assert.deepEqual([answer?.status, answer?.headers['content-length']], [200, '0']);
  });

  it('the response to HEAD has the headers of GET, including the length, and no body', async (t) => {
    const [head] = await responsesOf(t, () => ({ a: 1 }), ask('HEAD'));
    const [get] = await responsesOf(t, () => ({ a: 1 }));
    assert.deepEqual(head?.headers, get?.headers);
    assert.equal(head?.headers['content-length'], '7');
  });

  it('a 204 has neither a length nor a type', async (t) => {
    const [answer] = await responsesOf(t, () =>
      noContent({ 'content-length': '7', 'content-type': 'text/plain' }),
    );
    assert.deepEqual(Object.keys(answer?.headers ?? {}).sort(), ['connection', 'date']);
  });

  it('a response on a persistent connection has keep-alive, and the next request is answered on it', async (t) => {
    const server = await mustStartServer(t, { routes: [testRoute('GET', '/', () => 1)] });
    const [first, second] = parseResponses(
      await server.raw(`GET / HTTP/1.1\r\nHost: x\r\n\r\n${ask('GET')}`),
    );
    assert.deepEqual([first?.headers.connection, second?.headers.connection], ['keep-alive', 'close']);
  });
});

describe('a stream', () => {
  it('a stream is sent in chunks, or with its length if it is known', async (t) => {
    const [chunked] = await responsesOf(t, () => stream(Readable.from(['ab', 'c']), 'text/plain'));
    assert.deepEqual([chunked?.body, chunked?.headers['content-length']], ['abc', undefined]);
    const [sized] = await responsesOf(t, () =>
      stream(Readable.from(['ab', 'c']), 'text/plain', { 'content-length': '3' }),
    );
    assert.deepEqual([sized?.body, sized?.headers['transfer-encoding']], ['abc', undefined]);
  });

  it('a stream is destroyed unread for HEAD', async (t) => {
    const payload = openStream();
    const [answer] = await responsesOf(
      t,
      () => stream(payload, 'text/plain', { 'content-length': '9' }),
      ask('HEAD'),
    );
    assert.deepEqual([answer?.headers['content-length'], answer?.body, payload.destroyed], ['9', '', true]);
  });

  it('a stream reaches the client chunk by chunk, before its end', async (t) => {
    const payload = openStream();
    const server = await mustStartServer(t, {
      routes: [testRoute('GET', '/', () => stream(payload, 'text/plain'))],
    });
    await server.raw(ask('GET'), 'first');
  });

  it('a stream that fails truncates the response visibly, and is logged', async (t) => {
    const payload = openStream();
    const server = await mustStartServer(t, {
      routes: [testRoute('GET', '/', () => stream(payload, 'text/plain'))],
    });
    const socket = connect(server.port, '127.0.0.1', () => socket.write(ask('GET')));
    let received = '';
    socket.setEncoding('latin1').on('data', (data: string) => {
      received += data;
      if (received.includes('first')) payload.destroy(new Error('disk on fire'));
    });
    socket.on('error', () => {});
    await once(socket, 'close');
    assert.ok(!received.includes('0\r\n\r\n'));
    assert.match(JSON.stringify(server.log.of('http.response.aborted')), /disk on fire/);
  });

  it('a stream is destroyed when the client disconnects', async (t) => {
    const payload = openStream();
    const server = await mustStartServer(t, {
      routes: [testRoute('GET', '/', () => stream(payload, 'text/plain'))],
    });
    const closed = new Promise((resolve) => payload.once('close', resolve));
    await server.raw(ask('GET'), 'first');
    await closed;
    assert.equal(payload.destroyed, true);
  });

  it('a stream is destroyed if the client has disconnected before the response was ready', async (t) => {
    const payload = openStream();
    const asked = createDeferred();
    const server = await mustStartServer(t, {
      routes: [
        testRoute('GET', '/', async ({ ctx }) => {
          asked.resolve();
          await once(ctx.response, 'close');
          return stream(payload, 'text/plain');
        }),
      ],
    });
    const socket = connect(server.port, '127.0.0.1', () => socket.write(ask('GET')));
    await asked.promise;
    socket.destroy();
    await once(payload, 'close');
    assert.equal(server.http.inFlight(), 0);
  });
});
