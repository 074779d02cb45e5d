import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Route } from '../../../src/http/route.ts';
import type { CutReason } from '../../../src/http/server.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartServer, type TestServer } from '../../helpers/http-server.ts';
import { parseResponses } from '../../helpers/raw-responses.ts';
import { testRoute } from '../../helpers/test-route.ts';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const last = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
const put = (n: number) => {
  const body = JSON.stringify({ n });
  return `POST /n HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
};

async function start(t: TestContext, routes: readonly Route[] = []) {
  const log: string[] = [];
  const cut: CutReason[] = [];
  let n = 0;
  const held = createDeferred();
  const server = await mustStartServer(t, {
    routes: [
      testRoute(
        'POST',
        '/n',
        async ({ body }) => {
          const { n: written } = z.object({ n: z.number() }).parse(body);
          log.push(`write ${written}`);
          await delay(5);
          n = written;
          return n;
        },
        { body: z.object({ n: z.number() }) },
      ),
      testRoute('GET', '/n', () => {
        log.push(`read ${n}`);
        return n;
      }),
      testRoute('GET', '/held', () => held.promise.then(() => 'held')),
      ...routes,
    ],
    server: { onCut: (reason) => cut.push(reason) },
  });
  return { server, log, cut, release: held.resolve };
}

const bodies = (received: string) => parseResponses(received).map(({ body }) => body);

describe('pipelined requests', () => {
  it('of one connection are handled one after the other, so that each sees the changes of those before it', async (t) => {
    const { server, log } = await start(t);
    const received = await server.raw(`${put(1)}${get('/n')}${put(2)}${last('/n')}`);
    assert.deepEqual(bodies(received), ['1', '1', '2', '2']);
    assert.deepEqual(log, ['write 1', 'read 1', 'write 2', 'read 2']);
    assert.equal(server.http.inFlight(), 0);
  });

  it('wait in the socket, and not in memory, while the first one is in progress', async (t) => {
    const { server, release } = await start(t);
    const total = 90;
    const socket = connect(server.port, '127.0.0.1').setNoDelay();
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(get('/held'));
    await eventually('the first request is in progress', () => server.http.inFlight() === 1);
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    for (let sent = 0; sent < total; sent += 10) {
      socket.write(get('/n').repeat(10));
      await delay(5);
    }
    assert.ok(server.http.inFlight() < 60, `${server.http.inFlight()} requests are in memory`);
    release();
    await eventually(
      'there is a response to each request',
      () => received.split('HTTP/1.1 200').length === total + 2,
    );
  });

  it('over the limit are ignored, and the connection is closed after the last response', async (t) => {
    const { server, cut } = await start(t);
    const responses = parseResponses(await server.raw(put(1) + get('/n').repeat(120)));
    assert.equal(responses.length, 101);
    assert.deepEqual(
      responses.map(({ headers }) => headers.connection === 'close'),
      [...Array.from({ length: 100 }, () => false), true],
    );
    assert.deepEqual(cut, []);
  });

  it('far over the limit close the connection at once', async (t) => {
    const { server, cut } = await start(t);
    assert.equal(await server.raw(put(1) + get('/n').repeat(300)), '');
    assert.deepEqual(cut, ['pipelining']);
    await eventually('no request is in progress', () => server.http.inFlight() === 0);
  });

  it('that have not started are dropped when the client disconnects', async (t) => {
    const { server, log, release } = await start(t);
    const socket = connect(server.port, '127.0.0.1', () => socket.write(get('/held') + get('/n').repeat(4)));
    await eventually('all requests have arrived', () => server.http.inFlight() === 5);
    socket.resetAndDestroy();
    release();
    await eventually('no request is in progress', () => server.http.inFlight() === 0);
    assert.deepEqual(log, []);
  });

  it('behind a response with Connection: close are not handled', async (t) => {
    const { server, log } = await start(t, [
      testRoute('GET', '/final', async ({ ctx }) => {
        ctx.headers.connection = 'close';
        return 'final';
      }),
    ]);
    assert.deepEqual(bodies(await server.raw(get('/final') + put(1))), ['"final"']);
    assert.deepEqual(log, []);
  });

  it('behind a request with a body are read after its body', async (t) => {
    const { server } = await start(t);
    const socket = connect(server.port, '127.0.0.1').setNoDelay();
    t.after(() => socket.destroy());
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    const whole = `${get('/n')}${put(1)}${put(2)}${put(3)}${last('/n')}`;
    for (let at = 0; at < whole.length; at += 40) {
      socket.write(whole.slice(at, at + 40));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await once(socket, 'close');
    assert.deepEqual(bodies(received), ['0', '1', '2', '3', '3']);
  });

  it('CONNECT behind a request in progress is rejected after its response', async (t) => {
    const { server, release } = await start(t);
    const received = server.raw(`${get('/held')}CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await eventually('both have arrived', () => server.http.inFlight() === 2);
    release();
    const [first, second, ...more] = parseResponses(await received);
    assert.deepEqual([first?.body, second?.status, more], ['"held"', 501, []]);
  });

  it('of many connections do not delay the request of another client', async (t) => {
    let done = 0;
    const { server } = await start(t, [
      testRoute('GET', '/work', async () => {
        await undefined;
        const until = performance.now() + 2;
        while (performance.now() < until);
        done += 1;
        return done;
      }),
    ]);
    const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(t, server)));
    for (const client of clients) client.write(get('/work').repeat(20));
    assert.equal((await server.request({ path: '/n' })).status, 200);
    assert.ok(done < 200, `${done} of 400 pipelined requests were handled first`);
    await eventually('all were handled', () => done === 400);
  });
});

async function openClient(t: TestContext, server: TestServer): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {}).resume();
  await once(socket, 'connect');
  return socket;
}
