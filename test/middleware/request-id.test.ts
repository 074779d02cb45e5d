import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { compose } from '../../src/http/compose.ts';
import { requestId } from '../../src/middleware/request-id.ts';
import { currentRequest, type RequestContext } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext } from '../helpers/context.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

const layer = { name: 'request-id', run: requestId() };
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';

/** Returns the id of a request with these headers. */
function idOf(headers: Record<string, string>): string {
  const ctx = makeContext({ headers });
  compose([layer], () => undefined)(ctx);
  assert.equal(ctx.headers['x-request-id'], ctx.id);
  return ctx.id;
}

describe('the id of a request', () => {
  for (const id of ['a', 'A-Za-z_0.9', '8f7d6e5c-4b3a-2910-8765-4321fedcba98', 'x'.repeat(128)]) {
    it(`the id of a request is the acceptable id of the client: ${id.slice(0, 40)}`, () =>
      assert.equal(idOf({ 'x-request-id': id }), id));
  }

  const refused = [
    '',
    ' ',
    'x'.repeat(129),
    'a b',
    'a"b',
    'a,b',
    'a\\b',
    '<script>',
    'a/b',
    '$(id)',
    'é',
    'a\n',
    // Credentials, which would appear in every log line of the request.
    `sot_${'x'.repeat(32)}`,
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl',
  ];
  for (const id of refused) {
    it(`an unacceptable id is replaced by a new one: ${JSON.stringify(id.slice(0, 20))}`, () =>
      assert.match(idOf({ 'x-request-id': id }), uuid));
  }

  it('each request without an id gets a different one', () => assert.notEqual(idOf({}), idOf({})));

  it('the id of a request is the trace id of its traceparent', () => {
    assert.equal(idOf({ traceparent: `00-${trace}-00f067aa0ba902b7-01` }), trace);
    assert.equal(idOf({ traceparent: `cc-${trace}-00f067aa0ba902b7-01-what-the-future-will-be` }), trace);
  });

  it('X-Request-ID has precedence over traceparent', () => {
    assert.equal(idOf({ 'x-request-id': 'mine', traceparent: `00-${trace}-00f067aa0ba902b7-01` }), 'mine');
    assert.equal(idOf({ 'x-request-id': 'not mine', traceparent: `00-${trace}-00f067aa0ba902b7-01` }), trace);
  });

  for (const traceparent of [
    '',
    'x',
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
    `00-${trace}`,
  ]) {
    it(`an invalid traceparent is replaced by a new id: "${traceparent}"`, () =>
      assert.match(idOf({ traceparent }), uuid));
  }
});

describe('the span of a request', () => {
  const client = `00-${trace}-00f067aa0ba902b7-01`;

  /** Returns the context that the inner layers see. */
  function traceOf(headers: Record<string, string>, run = requestId()) {
    const ctx = makeContext({ headers });
    let seen: RequestContext | undefined;
    compose([{ name: 'request-id', run }], () => {
      seen = currentRequest();
      return undefined;
    })(ctx);
    assert.ok(seen?.trace !== undefined);
    assert.equal(ctx.trace, seen.trace);
    return { id: ctx.id, ...seen.trace };
  }

  it('a request continues the trace of its traceparent with a span of its own', () => {
    const { traceId, spanId, flags, state } = traceOf({ traceparent: client, tracestate: 'vendor=1' });
    assert.deepEqual([traceId, flags, state], [trace, 1, 'vendor=1']);
    assert.notEqual(spanId, '00f067aa0ba902b7');
  });

  it('a request without a valid traceparent starts a trace, and its tracestate is dropped', () => {
    for (const traceparent of [undefined, 'x', `${client}-more`]) {
      const seen = traceOf({ tracestate: 'vendor=1', ...(traceparent !== undefined && { traceparent }) });
      assert.notEqual(seen.traceId, trace);
      assert.deepEqual([seen.flags, seen.state], [0, undefined]);
    }
  });

  it('a request does not continue the trace of a client that is not trusted', () => {
    const run = requestId({ continuesTraces: false });
    const seen = traceOf({ traceparent: client, tracestate: 'vendor=1' }, run);
    assert.notEqual(seen.traceId, trace);
    assert.deepEqual([seen.flags, seen.state], [0, undefined]);
    assert.match(seen.id, uuid);
  });
});

describe('a log line', () => {
  it('a log line has the id of its request at any call depth, without passing the id', async (t) => {
    const captured = captureLog();
    const deep = async () => {
      await delay(1);
      await Promise.all([new Promise((resolve) => setImmediate(resolve)), Promise.resolve()]);
      captured.log.named('users').bind({ step: 2 }).info('user.created');
    };
    const server = await mustStartServer(t, {
      layers: [layer],
      captured,
      routes: [
        testRoute('GET', '/', async () => {
          captured.log.info('user.updated');
          await deep();
          return 1;
        }),
      ],
    });
    const ids = Array.from({ length: 20 }, (_, index) => `request-${index}`);
    await Promise.all(ids.map((id) => server.request({ headers: { 'x-request-id': id } })));
    for (const event of ['user.updated', 'user.created']) {
      assert.deepEqual(
        captured
          .of(event)
          .map((line) => line.request_id)
          .sort(),
        [...ids].sort(),
      );
    }
  });

  it('a log line outside a request has no request id', () => {
    const { log, lines } = captureLog();
    log.info('user.created');
    assert.equal(currentRequest(), undefined);
    assert.equal('request_id' in (lines()[0] ?? {}), false);
  });
});

it('a problem contains the request id for the client to quote', async (t) => {
  const server = await mustStartServer(t, { layers: [layer], routes: [] });
  const { json, headers } = await server.request({ headers: { 'x-request-id': 'abc' } });
  assert.deepEqual([json.request_id, headers['x-request-id']], ['abc', 'abc']);
});
