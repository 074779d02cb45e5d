import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { ok, reply, stream } from '../../../src/http/reply.ts';
import type { Route } from '../../../src/http/route.ts';
import { etag } from '../../../src/middleware/content/etag.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { testRoute } from '../../helpers/test-route.ts';

const start = (t: TestContext, handler: Route['handler'], facts: Partial<Route> = {}) =>
  mustStartServer(t, {
    layers: [{ name: 'etag', run: etag() }],
    routes: [testRoute('GET', '/', handler, facts), testRoute('POST', '/', handler, facts)],
  });

const modified = 'Sun, 06 Nov 1994 08:49:37 GMT';

describe('a client that has the current representation', () => {
  it('a client with the current representation gets 304 without a body, with the validator and the headers for caches', async (t) => {
    const server = await start(t, () => ok({ a: 1 }, { etag: '"v1"' }), {
      cache: { scope: 'public', maxAge: 60 },
    });
    for (const method of ['GET', 'HEAD']) {
      for (const field of ['"v1"', 'W/"v1"', '"v0", "v1"', '*', '"v1-gzip"']) {
        const { status, headers, text } = await server.request({
          method,
          headers: { 'if-none-match': field },
        });
        assert.deepEqual(
          [status, text, headers.etag, headers['cache-control']],
          [304, '', '"v1"', 'public, max-age=60'],
        );
        assert.deepEqual([headers['content-type'], headers['content-length']], [undefined, undefined]);
        assert.notEqual(headers.date, undefined);
      }
    }
  });

  it('a client that sends a date instead of an entity tag gets 304', async (t) => {
    const server = await start(t, () => ok({ a: 1 }, { etag: '"v1"', 'last-modified': modified }));
    const ask = async (headers: Record<string, string>) => (await server.request({ headers })).status;
    assert.equal(await ask({ 'if-modified-since': modified }), 304);
    assert.equal(await ask({ 'if-modified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' }), 200);
    assert.equal(await ask({ 'if-modified-since': 'nonsense' }), 200);
    assert.equal(await ask({ 'if-modified-since': modified, 'if-none-match': '"v0"' }), 200);
  });

  it('a 304 keeps the connection open for the next request', async (t) => {
    const server = await start(t, () => ok({ a: 1 }, { etag: '"v1"' }));
    const conditional = 'GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: "v1"\r\n';
    const received = await server.raw(`${conditional}\r\n${conditional}Connection: close\r\n\r\n`);
    assert.equal(received.match(/^HTTP\/1\.1 304 /gm)?.length, 2);
  });

  it('the stream of a response that becomes 304 is destroyed unread', async (t) => {
    const payload = new Readable({ read() {} });
    const server = await start(t, () => stream(payload, 'text/plain', { etag: '"v1"' }));
    const closed = once(payload, 'close');
    assert.equal((await server.request({ headers: { 'if-none-match': '"v1"' } })).status, 304);
    await closed;
  });
});

describe('the complete response', () => {
  it('a request with another validator or none gets the complete response', async (t) => {
    const server = await start(t, () => ok({ a: 1 }, { etag: '"v1"' }));
    for (const headers of [
      {},
      { 'if-none-match': '"v2"' },
      { 'if-none-match': '' },
      { 'if-none-match': 'v1' },
    ]) {
      const { status, json, headers: answered } = await server.request({ headers });
      assert.deepEqual([status, json, answered.etag], [200, { a: 1 }, '"v1"']);
    }
  });

  it('a response without a validator is sent completely, except for "*", which matches any representation', async (t) => {
    const server = await start(t, () => 1);
    assert.equal((await server.request({ headers: { 'if-none-match': '"v1"' } })).status, 200);
    assert.equal((await server.request({ headers: { 'if-none-match': '*' } })).status, 304);
  });

  it('a method that changes something, and any status other than 200, gets the complete response', async (t) => {
    const server = await start(t, () => ok(1, { etag: '"v1"' }));
    assert.equal(
      (await server.request({ method: 'POST', headers: { 'if-none-match': '"v1"' } })).status,
      200,
    );
    const responses = { 503: { description: '', schema: z.int() } };
    const failing = await start(t, () => reply(503, 1), { etag: true, responses });
    const { status, headers } = await failing.request({ headers: { 'if-none-match': '*' } });
    assert.deepEqual([status, headers.etag], [503, undefined]);
  });
});

describe('a route that declares etag', () => {
  it('a route with etag has a strong validator of the content, which changes only with the content', async (t) => {
    let content = 'a';
    const server = await start(t, () => content, { etag: true });
    const first = (await server.request()).headers.etag;
    assert.match(String(first), /^"[\w+/]{27}"$/);
    assert.equal((await server.request()).headers.etag, first);
    assert.equal((await server.request({ headers: { 'if-none-match': String(first) } })).status, 304);
    content = 'b';
    const second = await server.request({ headers: { 'if-none-match': String(first) } });
    assert.equal(second.status, 200);
    assert.notEqual(second.headers.etag, first);
  });

  it('a route with `etag: true` keeps an ETag that its handler has set', async (t) => {
    const server = await start(t, () => ok(1, { etag: '"mine"' }), { etag: true });
    assert.equal((await server.request()).headers.etag, '"mine"');
  });

  it('a route with etag sets no validator for a stream, whose content is not known in advance', async (t) => {
    const server = await start(t, () => stream(Readable.from(['a']), 'text/plain'), { etag: true });
    assert.equal((await server.request()).headers.etag, undefined);
  });
});

describe('a condition that is false', () => {
  const reads: [conditions: Record<string, string>, status: number][] = [
    [{ 'if-match': '"v1"' }, 200],
    [{ 'if-match': '"v0", "v1-gzip"' }, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': '"v0"' }, 412],
    [{ 'if-match': 'W/"v1"' }, 412],
    [{ 'if-match': '' }, 412],
    [{ 'if-match': '"v0"', 'if-none-match': '"v1"' }, 412],
    [{ 'if-match': '"v1"', 'if-none-match': '"v1"' }, 304],
    [{ 'if-unmodified-since': modified }, 200],
    [{ 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' }, 412],
    [{ 'if-unmodified-since': 'nonsense' }, 200],
    [{ 'if-match': '"v1"', 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' }, 200],
  ];
  for (const [headers, status] of reads) {
    it(`a read with a false condition gets ${status}: ${JSON.stringify(headers)}`, async (t) => {
      const server = await start(t, () => ok({ a: 1 }, { etag: '"v1"', 'last-modified': modified }));
      for (const method of ['GET', 'HEAD'])
        assert.equal((await server.request({ method, headers })).status, status);
    });
  }

  it('a list of tags for a response without a tag gets 412', async (t) => {
    const server = await start(t, () => 1);
    assert.equal((await server.request({ headers: { 'if-match': '"v1"' } })).status, 412);
    assert.equal((await server.request({ headers: { 'if-match': '*' } })).status, 200);
  });

  it('the stream of a response that becomes 412 is destroyed', async (t) => {
    const payload = new Readable({ read() {} });
    const server = await start(t, () => stream(payload, 'text/plain', { etag: '"v1"' }));
    const closed = once(payload, 'close');
    assert.equal((await server.request({ headers: { 'if-match': '"v2"' } })).status, 412);
    await closed;
  });

  it('the handler of a resource without a tag is not called if the condition is false', async (t) => {
    let calls = 0;
    const server = await start(t, () => ++calls);
    const post = async (headers: Record<string, string>) =>
      (await server.request({ method: 'POST', headers })).status;
    assert.equal(await post({ 'if-match': '"v1"' }), 412);
    assert.equal(calls, 0);
    assert.equal(await post({ 'if-match': '*' }), 200);
    assert.equal(await post({ 'if-none-match': '"v1"' }), 200);
    assert.equal(await post({ 'if-none-match': '*' }), 200);
  });

  it('a false condition changes only the status of a success', async (t) => {
    const responses = { 503: { description: '', schema: z.int() } };
    const server = await start(t, () => reply(503, 1), { responses });
    assert.equal((await server.request({ headers: { 'if-match': '"v1"' } })).status, 503);
  });
});
