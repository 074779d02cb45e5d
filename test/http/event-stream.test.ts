import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { EventStream, eventStreamType } from '../../src/http/event-stream.ts';
import { stream } from '../../src/http/reply.ts';
import { parseEvents } from '../helpers/event-source.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartServer, type TestServerOptions } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

const render = (count: number, previous: number | undefined) => ({
  id: String(count),
  event: previous === undefined ? 'first' : 'next',
  data: String(count),
});

const ask = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

/** A server that responds to each request with a new stream, and these streams. */
async function mustServeEvents(
  t: TestContext,
  options: { readonly heartbeatMs?: number; readonly text?: string } & Pick<TestServerOptions, 'server'> = {},
) {
  const streams: EventStream<number>[] = [];
  const { text = '', heartbeatMs } = options;
  const server = await mustStartServer(t, {
    ...options,
    routes: [
      testRoute('GET', '/', () => {
        const events = new EventStream<number>({
          render: (count, previous) => ({ ...render(count, previous), data: `${count} ${text}` }),
          ...(heartbeatMs !== undefined && { heartbeatMs }),
        });
        events.show(1);
        streams.push(events);
        return stream(events, eventStreamType);
      }),
    ],
  });
  return { server, streams };
}

describe('a stream of events', () => {
  it('an event stream has the retry time, and each event with its id, name and data', async () => {
    const events = new EventStream({ render, retryMs: 700 });
    const chunks: string[] = [];
    events.on('data', (chunk: Buffer) => {
      chunks.push(chunk.toString());
      if (chunks.length === 2) events.show(8);
      if (chunks.length === 3) events.finish();
    });
    events.show(7);
    await once(events, 'end');
    assert.equal(
      chunks.join(''),
      'retry: 700\n\nid: 7\nevent: first\ndata: 7\n\nid: 8\nevent: next\ndata: 8\n\n',
    );
  });

  it('data of several lines arrives unchanged, whatever its line endings', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('a', ':', ' ', '\n', '\r', '\r\n', 'é')), async (parts) => {
        const data = parts.join('');
        const events = new EventStream({ render: () => ({ id: '1', event: 'e', data }) });
        events.show(0);
        events.finish();
        const text = (await events.toArray()).join('');
        assert.deepEqual(
          parseEvents(text).map((event) => event.data),
          [data.replaceAll(/\r\n|\r/g, '\n')],
        );
      }),
    );
  });

  it('a snapshot that is replaced before the client reads it is skipped', async () => {
    const events = new EventStream({ render });
    for (let count = 1; count <= 1000; count += 1) events.show(count);
    events.finish();
    const text = (await events.toArray()).join('');
    assert.deepEqual(
      parseEvents(text).map(({ id }) => id),
      ['1000'],
    );
  });

  it('heartbeats do not accumulate for a client that does not read', async () => {
    const events = new EventStream({ render, heartbeatMs: 1 });
    const { readableLength } = events;
    const since = performance.now();
    await eventually('many heartbeats are due', () => performance.now() - since > 50);
    assert.equal(events.readableLength, readableLength);
    events.destroy();
  });

  it('a finished stream sends no more events', async () => {
    const events = new EventStream({ render });
    events.show(1);
    events.finish();
    events.show(2);
    const text = (await events.toArray()).join('');
    assert.deepEqual(
      parseEvents(text).map(({ id }) => id),
      ['1'],
    );
  });

  it('a snapshot that cannot be rendered destroys the stream with the error', async () => {
    const events = new EventStream({
      render() {
        throw new Error('It does not fit its schema.');
      },
    });
    const failed = once(events, 'error');
    events.show(1);
    events.resume();
    assert.match(String(await failed), /does not fit its schema/);
  });
});

describe('a server that responds with an event stream', () => {
  it('the server sends each event immediately', async (t) => {
    const { server, streams } = await mustServeEvents(t);
    assert.match(await server.raw(ask, 'data: 1 \n\n'), /text\/event-stream[\s\S]*retry: 1000\r?\n/);
    assert.equal(streams.length, 1);
  });

  it('the server sends a comment as a heartbeat while nothing happens', async (t) => {
    const { server } = await mustServeEvents(t, { heartbeatMs: 10 });
    assert.match(await server.raw(ask, /:\n\n[\s\S]*:\n\n/), /data: 1 /);
  });

  it('the server keeps only the latest event for a client that does not read', async (t) => {
    const text = 'x'.repeat(100_000);
    const { server, streams } = await mustServeEvents(t, { text, heartbeatMs: 1 });
    const socket = connect(server.port, '127.0.0.1', () => socket.write(ask));
    t.after(() => socket.destroy());
    await eventually('the request is answered', () => streams.length === 1);
    const [events] = streams;
    assert.ok(events !== undefined);
    let shown = 0;
    // Far more than the buffers of the socket hold.
    await eventually('the client is behind', () => {
      for (const until = shown + 50; shown < until; ) {
        shown += 1;
        events.show(shown);
      }
      return events.readableLength > 0 && shown > 2_000;
    });
    assert.ok(events.readableLength < 2 * text.length, `${events.readableLength} bytes are buffered`);
    let received = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk;
    });
    events.finish();
    await eventually('the client has the newest', () => received.includes(`id: ${shown}\n`));
    assert.ok(received.length < shown * text.length * 0.5);
  });

  it('the server closes a stream whose client has not read for the stall timeout', async (t) => {
    const text = 'x'.repeat(1_000_000);
    const { server, streams } = await mustServeEvents(t, {
      text,
      heartbeatMs: 20,
      server: { sendTimeoutMs: 200 },
    });
    const socket = connect(server.port, '127.0.0.1', () => socket.write(ask));
    t.after(() => socket.destroy());
    await eventually('the request is answered', () => streams.length === 1);
    await eventually('the stream has ended', () => {
      streams[0]?.show(1);
      return streams[0]?.destroyed === true;
    });
  });

  it('a client that disconnects frees the stream and is not logged as an error', async (t) => {
    const { server, streams } = await mustServeEvents(t);
    await server.raw(ask, 'data: 1');
    await eventually('the stream is destroyed', () => streams[0]?.destroyed === true);
    await eventually('no request is in flight', () => server.http.inFlight() === 0);
    assert.deepEqual(server.log.of('http.response.aborted'), []);
  });

  it('HEAD gets the headers and frees the stream', async (t) => {
    const { server, streams } = await mustServeEvents(t);
    const response = await server.request({ method: 'HEAD' });
    assert.deepEqual(
      [response.status, response.headers['content-type'], response.text],
      [200, eventStreamType, ''],
    );
    assert.equal(streams[0]?.destroyed, true);
  });

  it('draining closes an open stream without waiting for the grace period', async (t) => {
    const { server, streams } = await mustServeEvents(t);
    const whole = server.raw(ask);
    await eventually('the stream is open', () => streams.length === 1);
    streams[0]?.show(2);
    assert.equal(await server.http.close({ graceMs: 60_000 }), 0);
    assert.match(await whole, /data: 2 \n\n\r\n0\r\n\r\n$/);
  });

  it('a stream that is requested while the server drains is closed after its first event', async (t) => {
    const { server, streams } = await mustServeEvents(t);
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    let received = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk;
    });
    socket.write('GET /none HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually('the server has the connection', () => received.includes('not_found'));
    const closed = server.http.close({ graceMs: 60_000, lingerMs: 5_000 });
    socket.write(ask);
    await once(socket, 'close');
    assert.match(received, /connection: close[\s\S]*data: 1 \n\n\r\n0\r\n\r\n$/i);
    assert.equal(streams.length, 1);
    await closed;
  });
});
