import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import type { Layer } from '../../src/http/context.ts';
import { stream } from '../../src/http/reply.ts';
import type { Route } from '../../src/http/route.ts';
import { deadline } from '../../src/middleware/deadline.ts';
import { requestId } from '../../src/middleware/request-id.ts';
import { requestLog } from '../../src/middleware/request-log.ts';
import { createRejectedClients } from '../../src/observability/rejected-clients.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext } from '../helpers/context.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

function start(t: TestContext, handler: Route['handler'], timeoutMs = 30) {
  const captured = captureLog();
  const rejected = createRejectedClients(captured.log);
  const layers: Layer[] = [
    { name: 'request-id', run: requestId() },
    {
      name: 'request-log',
      run: requestLog({ log: captured.log, rejected, bodies: false, serverTiming: false }),
    },
    { name: 'deadline', run: deadline({ timeoutMs }) },
  ];
  return mustStartServer(t, { captured, layers, routes: [testRoute('GET', '/', handler)] });
}

/** Returns the reason of an aborted signal. */
async function reasonOf(signal: AbortSignal): Promise<AppError> {
  if (!signal.aborted) await once(signal, 'abort');
  assert.ok(signal.reason instanceof AppError);
  return signal.reason;
}

describe('at the deadline', () => {
  it('at the deadline the client immediately gets 503, whatever the handler still does', async (t) => {
    const never = new Promise(() => {});
    const server = await start(t, () => never);
    const { status, headers, json } = await server.request();
    assert.deepEqual([status, json.code, json.layer], [503, 'deadline_exceeded', 'deadline']);
    assert.equal(json.detail, 'The answer was not ready within 0.03 seconds.');
    assert.equal(headers['retry-after'], '1');
    const [line] = server.log.of('http.request.complete');
    assert.deepEqual([line?.status_code, line?.code, line?.level], [503, 'deadline_exceeded', 'error']);
  });

  it('at the deadline the signal is aborted with the reason, so that the work stops', async (t) => {
    const reason = createDeferred<AppError>();
    const server = await start(t, async ({ ctx }) => {
      reason.resolve(await reasonOf(ctx.signal));
      throw ctx.signal.reason;
    });
    await server.request();
    assert.equal((await reason.promise).code, 'deadline_exceeded');
  });

  it('a handler that responds to the aborted signal does not replace the 503, however fast it is', async (t) => {
    for (let turns = 0; turns < 16; turns += 1) {
      const server = await start(t, async ({ ctx }) => {
        await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
        for (let turn = 0; turn < turns; turn += 1) await undefined;
        return 'late';
      });
      const { status, json } = await server.request();
      assert.deepEqual(
        [status, json.code],
        [503, 'deadline_exceeded'],
        `after ${turns} turns of the microtask queue`,
      );
      const [line, ...more] = server.log.of('http.request.complete');
      assert.deepEqual([line?.status_code, more], [503, []]);
    }
  });

  it('a stream returned after the deadline is destroyed', async (t) => {
    const payload = new Readable({ read() {} });
    const server = await start(t, async ({ ctx }) => {
      await reasonOf(ctx.signal);
      return stream(payload, 'text/plain');
    });
    assert.equal((await server.request()).status, 503);
    if (!payload.closed) await once(payload, 'close');
    assert.equal(payload.destroyed, true);
  });

  it('a handler that fails after the deadline causes no unhandled rejection', async (t) => {
    const failed = createDeferred();
    const server = await start(t, async ({ ctx }) => {
      await reasonOf(ctx.signal);
      setImmediate(failed.resolve);
      throw new Error('too late');
    });
    assert.equal((await server.request()).status, 503);
    await failed.promise;
    assert.equal((await server.request()).status, 503, 'the server lives on');
  });
});

describe('a client that disconnects', () => {
  it('a client that disconnects aborts the signal with the reason, and is logged as 499', async (t) => {
    const asked = createDeferred();
    const reason = createDeferred<AppError>();
    const server = await start(
      t,
      async ({ ctx }) => {
        asked.resolve();
        reason.resolve(await reasonOf(ctx.signal));
      },
      60_000,
    );
    const socket = connect(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    await asked.promise;
    socket.destroy();
    assert.equal((await reason.promise).code, 'client_gone');
    await server.http.close({ graceMs: 1000 });
    const [line, ...more] = server.log.of('http.request.complete');
    assert.deepEqual([line?.status_code, line?.code, more], [499, 'client_gone', []]);
  });
});

describe('before the deadline', () => {
  it('a response before the deadline is sent, and the signal is never aborted', async (t) => {
    const signal = createDeferred<AbortSignal>();
    const server = await start(
      t,
      async ({ ctx }) => {
        signal.resolve(ctx.signal);
        return 'ready';
      },
      60_000,
    );
    assert.equal((await server.request()).json, 'ready');
    await server.http.close({ graceMs: 1000 });
    assert.equal((await signal.promise).aborted, false);
  });

  it('an error before the deadline is sent unchanged', async (t) => {
    const server = await start(t, () => Promise.reject(new AppError('conflict', 'Taken.')), 60_000);
    assert.equal((await server.request()).status, 409);
  });

  it('a synchronous response creates no promise', () => {
    const layer = { name: 'deadline', run: deadline({ timeoutMs: 1 }) };
    assert.equal(compose([layer], () => undefined)(makeContext()), undefined);
  });

  it('a stream may take longer than the deadline', async (t) => {
    const payload = new Readable({ read() {} });
    const server = await start(t, async () => stream(payload, 'text/plain'), 20);
    const later = setTimeout(() => {
      payload.push('late');
      payload.push(null);
    }, 60);
    t.after(() => clearTimeout(later));
    assert.deepEqual((await server.request()).text, 'late');
  });
});
