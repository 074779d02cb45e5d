import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { ok, raw, stream } from '../../../src/http/reply.ts';
import type { Route } from '../../../src/http/route.ts';
import { compression } from '../../../src/middleware/content/compression.ts';
import { etag } from '../../../src/middleware/content/etag.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { testRoute } from '../../helpers/test-route.ts';

const start = (t: TestContext, handler: Route['handler'], facts: Partial<Route> = {}) =>
  mustStartServer(t, {
    layers: [
      { name: 'compression', run: compression({ minBytes: 1000 }) },
      { name: 'etag', run: etag() },
    ],
    routes: [testRoute('GET', '/', handler, facts)],
  });

const text = 'compress me '.repeat(200);
const decode = { gzip: gunzipSync, br: brotliDecompressSync };

for (const coding of ['gzip', 'br'] as const) {
  describe(`a client that accepts ${coding}`, () => {
    const headers = { 'accept-encoding': coding };

    it(`text, bytes and JSON are compressed with ${coding}, with length and Vary`, async (t) => {
      for (const [handler, whole] of [
        [() => raw(text, 'text/plain'), text],
        [() => raw(Buffer.from(text), 'image/svg+xml'), text],
        [() => ({ text }), JSON.stringify({ text })],
      ] as const) {
        const server = await start(t, handler);
        const answer = await server.request({ headers });
        assert.equal(answer.headers['content-encoding'], coding);
        assert.equal(answer.headers.vary, 'Accept-Encoding');
        assert.equal(answer.headers['content-length'], String(answer.bytes.length));
        assert.ok(answer.bytes.length < 300);
        assert.equal(decode[coding](answer.bytes).toString(), whole);
      }
    });

    it(`a stream is compressed with ${coding}, without the original length`, async (t) => {
      const chunks = () =>
        stream(Readable.from([text, text]), 'text/plain', { 'content-length': String(2 * text.length) });
      const server = await start(t, chunks);
      const { headers: answered, bytes } = await server.request({ headers });
      assert.deepEqual([answered['content-encoding'], answered['content-length']], [coding, undefined]);
      assert.equal(decode[coding](bytes).toString(), text + text);
    });

    it(`the validator of a response compressed with ${coding} names the coding, and gets 304 when it is sent back`, async (t) => {
      const server = await start(t, () => ok({ text }, { etag: '"v1"' }));
      const first = await server.request({ headers });
      assert.equal(first.headers.etag, `"v1-${coding}"`);
      const second = await server.request({
        headers: { ...headers, 'if-none-match': String(first.headers.etag) },
      });
      assert.equal(second.status, 304);
      assert.deepEqual([second.headers.etag, second.headers.vary], [first.headers.etag, first.headers.vary]);
      assert.equal(second.headers['content-encoding'], undefined);
    });

    it(`HEAD gets the same headers as GET with ${coding}`, async (t) => {
      const server = await start(t, () => ({ text }));
      const get = await server.request({ headers });
      const head = await server.request({ method: 'HEAD', headers });
      assert.deepEqual({ ...head.headers, date: '' }, { ...get.headers, date: '' });
      assert.equal(head.text, '');
    });
  });
}

describe('an uncompressed response', () => {
  it('a client that accepts no coding gets an uncompressed response with Vary', async (t) => {
    const server = await start(t, () => raw(text, 'text/plain'));
    for (const accepted of [undefined, '', 'identity', 'deflate', 'gzip;q=0', '*;q=0']) {
      const headers = accepted === undefined ? {} : { 'accept-encoding': accepted };
      const { headers: answered, text: body } = await server.request({ headers });
      assert.deepEqual(
        [answered['content-encoding'], answered.vary, body],
        [undefined, 'Accept-Encoding', text],
      );
    }
  });

  const kept: [why: string, handler: () => unknown, facts?: Partial<Route>][] = [
    ['below the minimum size', () => raw('x'.repeat(999), 'text/plain')],
    ['of an image', () => raw(text, 'image/png')],
    ['of an unknown type', () => raw(text, 'application/octet-stream')],
    ['of an event stream', () => stream(Readable.from([text]), 'text/event-stream')],
    ['with a content coding', () => raw(text, 'text/plain', { 'content-encoding': 'gzip' })],
    ['with no-transform', () => raw(text, 'text/plain', { 'cache-control': 'public, no-transform' })],
    [
      'when it is a stream of known, small length',
      () => stream(Readable.from(['ab']), 'text/plain', { 'content-length': '2' }),
    ],
  ];
  for (const [why, handler, facts] of kept) {
    it(`a response ${why} is not compressed`, async (t) => {
      const server = await start(t, handler, facts);
      const { headers, bytes } = await server.request({ headers: { 'accept-encoding': 'gzip, br' } });
      assert.equal(headers.vary, undefined);
      assert.ok(
        bytes.toString().startsWith('x') ||
          bytes.toString().startsWith('compress me') ||
          bytes.toString() === 'ab',
      );
    });
  }

  it('the minimum size is measured in bytes, not in characters', async (t) => {
    const server = await start(t, () => raw('é'.repeat(500), 'text/plain'));
    const { headers } = await server.request({ headers: { 'accept-encoding': 'gzip' } });
    assert.equal(headers['content-encoding'], 'gzip');
  });
});

describe('a compressed stream', () => {
  it('a compressed stream that fails truncates the response', async (t) => {
    async function* chunks() {
      yield text;
      throw new Error('disk on fire');
    }
    const server = await start(t, () => stream(Readable.from(chunks()), 'text/plain'));
    await assert.rejects(server.request({ headers: { 'accept-encoding': 'gzip' } }));
    assert.match(server.log.text(), /disk on fire/);
  });

  it('the source of a compressed stream is destroyed when the client disconnects, and for HEAD', async (t) => {
    for (const method of ['GET', 'HEAD']) {
      const closed = createDeferred();
      const payload = new Readable({ read() {} });
      payload.once('close', () => closed.resolve());
      payload.push(text);
      const server = await start(t, () => stream(payload, 'text/plain'));
      await server.raw(`${method} / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n`, '\r\n\r\n');
      await closed.promise;
    }
  });
});
