import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { created, file, noContent, ok, raw, redirect, reply, stream } from '../../src/http/reply.ts';
import { type Returned, type Route, route } from '../../src/http/route.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

async function responseOf(t: TestContext, returned: () => unknown, facts: Partial<Route> = {}) {
  const server = await mustStartServer(t, { routes: [testRoute('GET', '/x', returned, facts)] });
  return server.request({ path: '/x' });
}

describe('a handler that returns', () => {
  it('a plain value is a 200 with the value as JSON', async (t) => {
    const { status, headers, json } = await responseOf(t, () => ({ a: 1 }));
    assert.deepEqual(
      [status, headers['content-type'], headers['content-length'], json],
      [200, 'application/json', '7', { a: 1 }],
    );
  });

  it('ok(value, headers) is a 200 with those headers', async (t) => {
    const { status, headers, json } = await responseOf(t, async () => ok([1], { etag: '"v1"' }));
    assert.deepEqual([status, headers.etag, json], [200, '"v1"', [1]]);
  });

  it('created(value, location) is a 201 with Location', async (t) => {
    const responses = { 201: { description: '', schema: z.object({ id: z.int() }) } };
    const { status, headers, json } = await responseOf(t, () => created({ id: 7 }, '/users/7'), {
      responses,
    });
    assert.deepEqual([status, headers.location, json], [201, '/users/7', { id: 7 }]);
  });

  it('reply(status, value) is serialised with the schema of that status', async (t) => {
    const responses = {
      503: { description: '', schema: z.object({ a: z.int() }), contentType: 'application/health+json' },
    };
    const { status, headers, json } = await responseOf(t, () => reply(503, { a: 1, b: 2 }), { responses });
    assert.deepEqual([status, headers['content-type'], json], [503, 'application/health+json', { a: 1 }]);
  });

  it('noContent() is a 204 without a body or a length', async (t) => {
    const { status, headers, text } = await responseOf(t, () => noContent(), {
      responses: { 204: { description: '' } },
    });
    assert.deepEqual(
      [status, headers['content-length'], headers['content-type'], text],
      [204, undefined, undefined, ''],
    );
  });

  it('a reply of raw() with text or bytes is sent unchanged', async (t) => {
    const html = await responseOf(t, () => raw('<p>é', 'text/html; charset=utf-8'));
    assert.deepEqual(
      [html.text, html.headers['content-type'], html.headers['content-length']],
      ['<p>é', 'text/html; charset=utf-8', '5'],
    );
    const bytes = await responseOf(t, () => raw(new Uint8Array([0, 255]), 'application/octet-stream'));
    assert.deepEqual(bytes.bytes, Buffer.from([0, 255]));
  });

  it('a reply of stream() is sent chunk by chunk', async (t) => {
    const { headers, text } = await responseOf(t, () => stream(Readable.from(['a', 'b']), 'text/plain'));
    assert.deepEqual(
      [text, headers['transfer-encoding'], headers['content-type']],
      ['ab', 'chunked', 'text/plain'],
    );
  });

  for (const status of [302, 303, 307, 308] as const) {
    it(`a reply of redirect() with status ${status} has that status, its Location and no body`, async (t) => {
      const sent = await responseOf(t, () => redirect(status, '/there'));
      assert.deepEqual(
        [sent.status, sent.headers.location, sent.headers['content-length'], sent.text],
        [status, '/there', '0', ''],
      );
    });
  }
});

describe('a file', () => {
  async function folder(t: TestContext) {
    const path = await mkdtemp(join(tmpdir(), 'strata-reply-'));
    t.after(() => rm(path, { recursive: true }));
    return path;
  }

  it('a file has Content-Length, Content-Type and Last-Modified', async (t) => {
    const path = join(await folder(t), 'page.HTML');
    await writeFile(path, 'hello');
    const { status, headers, text } = await responseOf(t, () => file(path));
    assert.deepEqual(
      [status, headers['content-length'], headers['content-type'], text],
      [200, '5', 'text/html; charset=utf-8', 'hello'],
    );
    assert.ok(Math.abs(Date.parse(headers['last-modified'] ?? '') - Date.now()) < 60_000);
  });

  it('a file with an unknown extension is application/octet-stream', async (t) => {
    const path = join(await folder(t), 'data.xyz');
    await writeFile(path, '');
    const { headers } = await responseOf(t, () => file(path));
    assert.equal(headers['content-type'], 'application/octet-stream');
  });

  it('a missing file, or a folder, is 404 without its path', async (t) => {
    const path = await folder(t);
    for (const missing of [path, join(path, 'missing')]) {
      const { status, text } = await responseOf(t, () => file(missing));
      assert.equal(status, 404);
      assert.ok(!text.includes(path));
    }
  });
});

it('the return type of a handler follows from the declared responses', () => {
  const responses = {
    200: { description: '', schema: z.object({ id: z.int() }) },
    204: { description: '' },
  } as const;
  type Allowed = Returned<typeof responses>;
  const allowed: Allowed[] = [{ id: 1 }, ok({ id: 1 }), noContent()];
  type Has<T> = T extends Allowed ? true : false;
  const has: [
    Has<{ id: number }>,
    Has<{ id: string }>,
    Has<ReturnType<typeof redirect<302>>>,
    Has<undefined>,
  ] = [true, false, false, false];
  assert.deepEqual([allowed.length, has.length], [3, 4]);

  const declared = route({
    method: 'GET',
    path: '/users/:id',
    operationId: 'getUser',
    summary: '',
    tags: [],
    auth: 'none',
    params: z.object({ id: z.string().transform(Number) }),
    query: z.object({ verbose: z.stringbool().optional() }),
    responses,
    handler({ params, query, body, headers }) {
      const id: number = params.id;
      const verbose: boolean | undefined = query.verbose;
      const nothing: undefined = body ?? headers;
      return verbose ? noContent() : { id: id + (nothing ?? 0) };
    },
  });
  assert.equal(declared.path, '/users/:id');
});
