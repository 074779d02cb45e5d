import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { contentValidation } from '../../../src/middleware/content/content-validation.ts';
import { mustStartServer } from '../../helpers/http-server.ts';
import { testRoute } from '../../helpers/test-route.ts';

const start = (t: TestContext) =>
  mustStartServer(t, {
    layers: [{ name: 'content-validation', run: contentValidation() }],
    routes: [
      testRoute('POST', '/json', ({ body }) => body, { body: z.unknown() }),
      testRoute('PATCH', '/json', ({ body }) => body, {
        body: z.unknown(),
        accepts: ['application/json', 'application/merge-patch+json'],
      }),
      testRoute('POST', '/form', ({ body }) => body, {
        body: z.unknown(),
        accepts: ['application/x-www-form-urlencoded'],
      }),
      testRoute('POST', '/bytes', ({ body }) => Buffer.isBuffer(body) && body.length, {
        body: z.unknown(),
        accepts: ['application/octet-stream'],
      }),
      testRoute('POST', '/optional', ({ body }) => body ?? 'none', { body: z.unknown().optional() }),
      testRoute('GET', '/json', () => 'read'),
      testRoute('DELETE', '/json', () => 'deleted'),
    ],
  });

describe('a body', () => {
  const taken: [asked: string, type: string, body: string, answer: unknown][] = [
    ['POST /json', 'application/json', '{"a":1}', { a: 1 }],
    ['POST /json', 'Application/JSON; charset=UTF-8', '{"a":1}', { a: 1 }],
    ['PATCH /json', 'application/merge-patch+json', '{"a":null}', { a: null }],
    ['POST /form', 'application/x-www-form-urlencoded', 'a=1&a=2', { a: ['1', '2'] }],
    ['POST /bytes', 'application/octet-stream', 'abc', 3],
  ];
  for (const [asked, type, body, answer] of taken) {
    it(`a body of ${type} is accepted by ${asked}`, async (t) => {
      const [method = '', path = ''] = asked.split(' ');
      const server = await start(t);
      const { status, json } = await server.request({
        method,
        path,
        headers: { 'content-type': type },
        body,
      });
      assert.deepEqual([status, json], [200, answer]);
    });
  }

  const refused: [
    asked: string,
    type: string | undefined,
    field: 'accept-post' | 'accept-patch',
    takes: string,
  ][] = [
    ['POST /json', 'text/plain', 'accept-post', 'application/json'],
    ['POST /json', 'application/x-www-form-urlencoded', 'accept-post', 'application/json'],
    ['POST /json', 'application/merge-patch+json', 'accept-post', 'application/json'],
    ['POST /json', 'text/plain, application/json', 'accept-post', 'application/json'],
    ['POST /json', 'nonsense', 'accept-post', 'application/json'],
    ['POST /json', undefined, 'accept-post', 'application/json'],
    ['PATCH /json', 'text/plain', 'accept-patch', 'application/json, application/merge-patch+json'],
  ];
  for (const [asked, type, field, takes] of refused) {
    it(`a body of ${type ?? 'no type'} gets 415 at ${asked}, with the accepted types`, async (t) => {
      const [method = '', path = ''] = asked.split(' ');
      const server = await start(t);
      const headers = { 'content-length': '2', ...(type !== undefined && { 'content-type': type }) };
      const { status, headers: answered, json } = await server.request({ method, path, headers, body: '{}' });
      assert.deepEqual(
        [status, json.code, json.layer],
        [415, 'unsupported_media_type', 'content-validation'],
      );
      assert.equal(answered[field], takes);
    });
  }

  for (const method of ['GET', 'DELETE']) {
    it(`a body gets 400 with ${method} on a route without a body`, async (t) => {
      const server = await start(t);
      const sent = {
        method,
        path: '/json',
        headers: { 'content-type': 'application/json', 'content-length': '2' },
        body: '{}',
      };
      const { status, json } = await server.request(sent);
      assert.deepEqual(
        [status, json.detail],
        [400, 'This route accepts no body; send the request without one.'],
      );
      assert.equal((await server.request({ method, path: '/json' })).status, 200);
    });
  }

  it('a body may be absent if the schema allows it', async (t) => {
    const server = await start(t);
    assert.equal((await server.request({ method: 'POST', path: '/optional' })).json, 'none');
  });

  it('a body for an unknown path is not checked', async (t) => {
    const server = await start(t);
    const { status } = await server.request({
      method: 'POST',
      path: '/nothing',
      headers: { 'content-encoding': 'gzip' },
      body: 'x',
    });
    assert.equal(status, 404);
  });
});
