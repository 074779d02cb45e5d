import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { AppError } from '../../src/errors.ts';
import { ok, reply } from '../../src/http/reply.ts';
import { mount, type Route } from '../../src/http/route.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { testRoute } from '../helpers/test-route.ts';

const start = (t: TestContext, ...routes: Route[]) => mustStartServer(t, { routes });
const json = { 'content-type': 'application/json' };

describe('a path', () => {
  const routes = [
    testRoute('GET', '/users/:id', ({ params }) => params, { params: z.object({ id: z.string() }) }),
    testRoute('POST', '/users', () => 1),
    testRoute('DELETE', '/users/:id', () => 1),
  ];

  it('an unknown path is 404, with a problem that contains the path', async (t) => {
    const server = await start(t, ...routes);
    const { status, headers, json } = await server.request({ path: '/nothing/caf%C3%A9?q=1' });
    assert.equal(status, 404);
    assert.equal(headers['content-type'], 'application/problem+json');
    assert.deepEqual(json, {
      type: 'urn:strata:problem:not-found',
      title: 'Not found',
      status: 404,
      detail: 'There is nothing at this path.',
      instance: '/nothing/caf%C3%A9',
      code: 'not_found',
    });
  });

  it('a path without a route for the method is 405 with Allow', async (t) => {
    const server = await start(t, ...routes);
    for (const [method, path, allow] of [
      ['PUT', '/users/7', 'DELETE, GET, HEAD, OPTIONS'],
      ['TRACE', '/users/7', 'DELETE, GET, HEAD, OPTIONS'],
      ['GET', '/users', 'OPTIONS, POST'],
      ['HEAD', '/users', 'OPTIONS, POST'],
    ] as const) {
      const { status, headers } = await server.request({ method, path });
      assert.deepEqual([status, headers.allow], [405, allow]);
    }
  });

  it('OPTIONS is 204 with the methods of the path in Allow, and for "*" with all methods', async (t) => {
    const server = await start(t, ...routes);
    for (const [path, allow] of [
      ['/users/7', 'DELETE, GET, HEAD, OPTIONS'],
      ['*', 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT'],
    ] as const) {
      const { status, headers, text } = await server.request({ method: 'OPTIONS', path });
      assert.deepEqual([status, headers.allow, text], [204, allow, '']);
    }
    assert.equal((await server.request({ method: 'OPTIONS', path: '/nothing' })).status, 404);
  });

  it('HEAD gets the response of GET without the body', async (t) => {
    const server = await start(t, ...routes);
    const get = await server.request({ path: '/users/7' });
    const head = await server.request({ method: 'HEAD', path: '/users/7' });
    assert.deepEqual([head.status, head.text], [200, '']);
    assert.equal(head.headers['content-length'], get.headers['content-length']);
    assert.equal(head.headers['content-type'], get.headers['content-type']);
  });

  for (const [path, location] of [
    ['/users/7/', '/users/7'],
    ['/users/7/?a=%20&b=1', '/users/7?a=%20&b=1'],
    ['/users/7/?a=/', '/users/7?a=/'],
    ['/users/caf%C3%A9/', '/users/caf%C3%A9'],
    ['/users/', '/users'],
  ] as const) {
    it(`${path} is redirected to ${location} with method and body`, async (t) => {
      const server = await start(t, ...routes);
      const { status, headers, text } = await server.request({ method: 'POST', path });
      assert.deepEqual([status, headers.location, text], [308, location, '']);
    });
  }

  it('a path that starts with two slashes never becomes a redirect to another host', async (t) => {
    const server = await start(
      t,
      ...routes,
      testRoute('GET', '/*rest', () => 1),
      testRoute('GET', '/', () => 1),
    );
    for (const path of ['//evil.example/', '//evil.example//', '///', '//users/7/']) {
      const { status, headers } = await server.request({ path });
      assert.deepEqual([status, headers.location], [404, undefined], path);
    }
  });

  it('a route that is mounted below a prefix has no other path', async (t) => {
    const server = await start(t, ...mount('/api/v1', routes));
    assert.equal((await server.request({ path: '/api/v1/users/7' })).status, 200);
    assert.equal((await server.request({ path: '/users/7' })).status, 404);
  });
});

describe('a request', () => {
  const route = testRoute(
    'POST',
    '/users/:id',
    ({ params, query, headers, body }) => ({ params, query, headers, body }),
    {
      params: z.object({ id: z.string().regex(/^\d+$/, 'Use digits.').transform(Number) }),
      query: z.object({ limit: z.string().regex(/^\d+$/, 'Use digits.').transform(Number).optional() }),
      headers: z.object({ 'if-match': z.string().optional() }),
      body: z.strictObject({ name: z.string() }),
    },
  );

  it('the handler gets the output of the schemas', async (t) => {
    const server = await start(t, route);
    const sent = {
      method: 'POST',
      path: '/users/7?limit=5',
      headers: { ...json, 'if-match': '"v1"' },
      body: '{"name":"Ada"}',
    };
    assert.deepEqual((await server.request(sent)).json, {
      params: { id: 7 },
      query: { limit: 5 },
      headers: { 'if-match': '"v1"' },
      body: { name: 'Ada' },
    });
  });

  it('a request with errors in several parts is 422 with all of them', async (t) => {
    const server = await start(t, route);
    const { status, json: problem } = await server.request({
      method: 'POST',
      path: '/users/x?limit=y',
      headers: json,
      body: '{"ro/le":"admin","name":1}',
    });
    assert.deepEqual([status, problem.code], [422, 'validation_failed']);
    assert.deepEqual(
      problem.errors.map((error: { in: string; pointer: string }) => `${error.in} ${error.pointer}`),
      ['path /id', 'query /limit', 'body /name', 'body /ro~1le'],
    );
  });

  it('a request without a required body is 422', async (t) => {
    const server = await start(t, route);
    const { status, json: problem } = await server.request({ method: 'POST', path: '/users/7' });
    assert.deepEqual([status, problem.errors[0].detail], [422, 'This route needs a body.']);
  });

  it('a request with a hundred thousand invalid items is 422 with a short response', async (t) => {
    const server = await start(
      t,
      testRoute('POST', '/', () => 1, { body: z.array(z.number()) }),
    );
    const body = JSON.stringify(new Array(100_000).fill('x'));
    const { status, text } = await server.request({ method: 'POST', headers: json, body });
    assert.equal(status, 422);
    assert.ok(text.length < 10_000);
  });

  it('a query that is not UTF-8, or has more than a thousand parameters, is 400', async (t) => {
    const server = await start(
      t,
      testRoute('GET', '/', () => 1, { query: z.object({}) }),
    );
    for (const query of ['a=%ff', 'a&'.repeat(1001)]) {
      const { status, json: problem } = await server.request({ path: `/?${query}` });
      assert.deepEqual([status, problem.code], [400, 'bad_target']);
    }
  });

  it('a repeated parameter is an array', async (t) => {
    const query = z.object({ tag: z.array(z.string()) });
    const server = await start(
      t,
      testRoute('GET', '/', ({ query }) => query, { query }),
    );
    assert.deepEqual((await server.request({ path: '/?tag=a&tag=b' })).json, { tag: ['a', 'b'] });
    assert.equal((await server.request({ path: '/?tag=a' })).status, 422);
  });

  it('members and parameters named like properties of every object change no object', async (t) => {
    const loose = testRoute(
      'POST',
      '/',
      ({ body }) => ({ body, polluted: Object.hasOwn(Object.prototype, 'admin') }),
      {
        body: z.looseObject({}),
      },
    );
    const server = await start(t, loose);
    const post = (body: string) => server.request({ method: 'POST', headers: json, body });
    assert.equal((await post('{"__proto__":{"admin":true}}')).status, 400);
    assert.deepEqual((await post('{"constructor":{"prototype":{"admin":true}}}')).json, {
      body: { constructor: { prototype: { admin: true } } },
      polluted: false,
    });
  });
});

describe('a response', () => {
  const shown = { 200: { description: '', schema: z.object({ id: z.int(), name: z.string().optional() }) } };

  it('a response never has a field that its schema does not declare', async (t) => {
    const row = { id: 1, name: 'Ada', password_hash: '$scrypt$…' };
    const server = await start(
      t,
      testRoute('GET', '/', () => row, { responses: shown }),
    );
    assert.equal((await server.request()).text, '{"id":1,"name":"Ada"}');
  });

  it('a response that does not match its schema is 500 without details, which are in the log', async (t) => {
    const route = testRoute('GET', '/', () => ok({ id: 'secret' }, { etag: '"v1"', 'x-state': 'a' }), {
      responses: shown,
      cache: { scope: 'public', maxAge: 60 },
    });
    const server = await start(t, route);
    const { status, headers, text, json: problem } = await server.request();
    assert.deepEqual([status, problem.code], [500, 'internal']);
    assert.ok(!/secret|schema|invalid/i.test(text), text);
    for (const name of ['etag', 'x-state', 'cache-control']) assert.equal(headers[name], undefined, name);
    const [line] = server.log.of('http.request.failed');
    assert.match(JSON.stringify(line), /GET \/ does not match its response schema.*expected number/);
  });

  it('a reply with a status that the route does not declare is 500', async (t) => {
    const server = await start(
      t,
      testRoute('GET', '/', () => reply(201, { id: 1 }), { responses: shown }),
    );
    assert.equal((await server.request()).status, 500);
    assert.match(server.log.text(), /declares no response with a body for 201/);
  });

  it('a successful response has the Cache-Control of its route, and an error response does not', async (t) => {
    const query = z.object({ fail: z.string().optional() });
    const route = testRoute('GET', '/', ({ ctx }) => (ctx.target.query ? reply(404, {}) : {}), {
      query,
      cache: { scope: 'public', maxAge: 60 },
      responses: {
        200: { description: '', schema: z.object({}) },
        404: { description: '', schema: z.object({}) },
      },
    });
    const server = await start(t, route);
    assert.equal((await server.request()).headers['cache-control'], 'public, max-age=60');
    assert.equal((await server.request({ path: '/?fail=1' })).headers['cache-control'], undefined);
  });

  for (const [when, handler] of [
    ['throws', () => assert.fail(new TypeError('secret'))],
    ['rejects', () => Promise.reject(new TypeError('secret'))],
  ] as const) {
    it(`a handler that ${when} is 500 without the message, and the log has the stack`, async (t) => {
      const server = await start(t, testRoute('GET', '/', handler));
      const { status, text } = await server.request();
      assert.equal(status, 500);
      assert.ok(!text.includes('secret'));
      assert.match(JSON.stringify(server.log.of('http.request.failed')), /TypeError: secret.*dispatch\.test/);
      assert.equal((await server.request({ path: '/other' })).status, 404, 'the server lives on');
    });
  }

  it('an AppError of a handler becomes the problem of its code', async (t) => {
    const conflict = () => Promise.reject(new AppError('conflict', 'The name is taken.'));
    const server = await start(t, testRoute('GET', '/', conflict));
    const { status, json: problem } = await server.request();
    assert.deepEqual([status, problem.detail], [409, 'The name is taken.']);
    assert.equal(server.log.text(), '');
  });
});
