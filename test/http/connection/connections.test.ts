import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { RejectionReason } from '../../../src/http/connection/connections.ts';
import type { ServerOptions } from '../../../src/http/server.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { testRoute } from '../../helpers/test-route.ts';

/** A server with a route that responds at once, and one that responds when the test releases it. */
async function start(t: TestContext, options: Partial<ServerOptions>) {
  const released = createDeferred();
  let held = 0;
  const refused: { rejection: RejectionReason; address: string }[] = [];
  const server = await mustStartServer(t, {
    routes: [
      testRoute('GET', '/quick', () => 'quick'),
      testRoute('GET', '/held', () => {
        held += 1;
        return released.promise.then(() => 'held');
      }),
    ],
    server: { onRejected: (rejection, address) => refused.push({ rejection, address }), ...options },
  });
  const clients: Client[] = [];
  t.after(() => {
    released.resolve();
    for (const { socket } of clients) socket.destroy();
  });
  return {
    refused,
    held: () => held,
    release: released.resolve,
    open: async (localAddress = '127.0.0.1') => {
      const client = await openClient(server.port, localAddress);
      clients.push(client);
      return client;
    },
  };
}

interface Client {
  readonly socket: Socket;
  /** Sends a request and resolves with the first line of the response, or with "closed" if the server closes the connection. */
  ask(path: string): Promise<string>;
  readonly closed: Promise<void>;
}

async function openClient(port: number, localAddress: string): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', localAddress }).setEncoding('latin1');
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  return {
    socket,
    closed,
    async ask(path) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const response = new Promise<string>((resolve) => {
        socket.once('data', (text) => resolve(String(text).split('\r\n')[0] ?? ''));
      });
      return Promise.race([response, closed.then(() => 'closed')]);
    },
  };
}

const ok = 'HTTP/1.1 200 OK';

describe('a server that is full', () => {
  it('a full server closes the connection that has been idle longest for a new one', async (t) => {
    const { open, refused } = await start(t, { maxConnections: 2 });
    const [first, second] = [await open(), await open()];
    assert.equal(await first.ask('/quick'), ok);
    const third = await open();
    await second.closed;
    assert.deepEqual([await first.ask('/quick'), await third.ask('/quick')], [ok, ok]);
    assert.deepEqual(refused, []);
  });

  it('a full server refuses a new connection while all others have a request in flight', async (t) => {
    const { open, held, release, refused } = await start(t, { maxConnections: 2 });
    const busy = [await open(), await open()];
    const responses = busy.map((client) => client.ask('/held'));
    while (held() < 2) await new Promise((resolve) => setImmediate(resolve));
    const late = await open();
    assert.equal(await late.ask('/quick'), 'closed');
    assert.deepEqual(refused, [{ rejection: 'full', address: '127.0.0.1' }]);
    release();
    assert.deepEqual(await Promise.all(responses), [ok, ok]);
  });

  it('a full server accepts a connection again after another one is closed', async (t) => {
    const { open, held, refused } = await start(t, { maxConnections: 1 });
    const first = await open();
    void first.ask('/held');
    while (held() < 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await (await open()).ask('/quick'), 'closed');
    first.socket.destroy();
    await first.closed;
    let response = '';
    while (response !== ok) response = await (await open()).ask('/quick');
    assert.ok(refused.length > 0);
  });
});

describe('an address', () => {
  it('an address at its limit is refused further connections, and other addresses are not', async (t) => {
    const { open, refused } = await start(t, { maxConnections: 10, maxConnectionsPerAddress: 2 });
    const own = [await open('127.0.0.2'), await open('127.0.0.2')];
    assert.equal(await (await open('127.0.0.2')).ask('/quick'), 'closed');
    assert.equal(await (await open('127.0.0.3')).ask('/quick'), ok);
    for (const client of own) assert.equal(await client.ask('/quick'), ok);
    assert.deepEqual(refused, [{ rejection: 'address', address: '127.0.0.2' }]);
  });

  it('an address may connect again after its connections are closed', async (t) => {
    const { open } = await start(t, { maxConnections: 10, maxConnectionsPerAddress: 1 });
    const first = await open('127.0.0.2');
    first.socket.destroy();
    await first.closed;
    let response = '';
    while (response !== ok) response = await (await open('127.0.0.2')).ask('/quick');
  });

  it('an exempt address has no limit of its own', async (t) => {
    const isExemptAddress = (address: string) => address === '127.0.0.2';
    const { open } = await start(t, { maxConnections: 10, maxConnectionsPerAddress: 1, isExemptAddress });
    const clients = [await open('127.0.0.2'), await open('127.0.0.2'), await open('127.0.0.2')];
    for (const client of clients) assert.equal(await client.ask('/quick'), ok);
  });
});
