import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { stream } from '../../../src/http/reply.ts';
import type { CutReason } from '../../../src/http/server.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { testRoute } from '../../helpers/test-route.ts';

const sendTimeoutMs = 600;
/** More than the buffers of the sockets hold. */
const large = 'x'.repeat(48 * 1024 * 1024);

async function start(t: TestContext) {
  const cut: { reason: CutReason; address: string }[] = [];
  const held = createDeferred();
  const source = new PassThrough();
  const server = await mustStartServer(t, {
    routes: [
      testRoute('GET', '/large', () => large),
      testRoute('GET', '/held', () => held.promise.then(() => 'held')),
      testRoute('GET', '/stream', () => stream(source, 'text/plain')),
    ],
    server: { sendTimeoutMs, onCut: (reason, address) => cut.push({ reason, address }) },
  });
  const open = (path: string, count = 1) => {
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(count)),
    );
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    return socket;
  };
  return { server, cut, open, source, release: held.resolve };
}

describe('a connection', () => {
  it('whose client does not read is closed after the send timeout, also if it has pipelined requests', async (t) => {
    const { server, cut, open } = await start(t);
    for (const count of [1, 20]) open('/large', count);
    const startedAt = performance.now();
    await eventually('the responses are in progress', () => server.http.inFlight() === 21);
    await eventually('all are closed', () => cut.length === 2);
    assert.ok(performance.now() - startedAt >= sendTimeoutMs);
    assert.deepEqual(cut[0], { reason: 'slow_reader', address: '127.0.0.1' });
    await eventually('nothing is in progress', () => server.http.inFlight() === 0);
  });

  it('whose client reads a few bytes from time to time is closed', async (t) => {
    const { cut, open } = await start(t);
    const socket = open('/large');
    await once(socket, 'readable');
    const drip = setInterval(() => socket.read(1), 20);
    await eventually('it is closed', () => cut.length === 1);
    clearInterval(drip);
  });

  it('whose client reads for longer than the send timeout gets the whole response', async (t) => {
    const { cut, open } = await start(t);
    const socket = open('/large');
    const startedAt = performance.now();
    let received = 0;
    let pauses = 0;
    await new Promise<void>((resolve, reject) => {
      socket.on('close', () => reject(new Error(`closed after ${received} bytes`)));
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received > large.length) resolve();
        // More than the system accepts in one step.
        if (received < (pauses + 1) * 4 * 1024 * 1024) return;
        pauses += 1;
        socket.pause();
        setTimeout(() => socket.resume(), sendTimeoutMs / 4);
      });
    });
    assert.ok(performance.now() - startedAt > 2 * sendTimeoutMs, `${performance.now() - startedAt} ms`);
    assert.deepEqual(cut, []);
  });

  it('whose handler or stream has nothing to send stays open', async (t) => {
    const { cut, open, source, release } = await start(t);
    const sockets = [open('/held'), open('/stream')];
    source.write('a');
    await delay(2.5 * sendTimeoutMs);
    assert.deepEqual(cut, []);
    source.end('b');
    release();
    for (const socket of sockets) assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 /);
  });
});
