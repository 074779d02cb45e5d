import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextLoop } from 'node:timers/promises';
import * as z from 'zod';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import type { Layer } from '../../src/http/context.ts';
import { created, noContent } from '../../src/http/reply.ts';
import { createManagementServer } from '../../src/management/server.ts';
import { contentValidation } from '../../src/middleware/content/content-validation.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { exchangeText, mustStartServer } from '../helpers/http-server.ts';
import { parseResponses } from '../helpers/raw-responses.ts';
import { testRoute } from '../helpers/test-route.ts';

const chunked = 'Transfer-Encoding: chunked\r\n';

/** Ways to frame a message without a body (RFC 9112, sections 6.3 and 7.1). */
const empty: [framing: string, fields: string, body: string][] = [
  ['no framing', '', ''],
  ['Content-Length: 0', 'Content-Length: 0\r\n', ''],
  ['Content-Length: 00', 'Content-Length: 00\r\n', ''],
  ['Content-Length: 0000000000000000000000', `Content-Length: ${'0'.repeat(22)}\r\n`, ''],
  ['an empty chunked body', chunked, '0\r\n\r\n'],
  ['an empty chunked body with many zeros', chunked, '00000\r\n\r\n'],
  ['an empty chunked body with an extension', chunked, '0;a=b;c="d"\r\n\r\n'],
  ['an empty chunked body with a trailer', chunked, '0\r\nX-Checksum: 1\r\nX: y\r\n\r\n'],
];

/** The same with one octet of body. */
const oneOctet: [framing: string, fields: string, body: string][] = [
  ['Content-Length: 1', 'Content-Length: 1\r\n', '1'],
  ['Content-Length: 01', 'Content-Length: 01\r\n', '1'],
  ['a chunk of one octet', chunked, '1\r\n1\r\n0\r\n\r\n'],
  ['a chunk of one octet with a trailer', chunked, '1;a=b\r\n1\r\n0\r\nX: y\r\n\r\n'],
];

const types = [
  '',
  'Content-Type: application/json\r\n',
  'Content-Type: text/csv\r\n',
  'Content-Encoding: gzip\r\n',
];

const routes = (['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const).flatMap((method) => [
  testRoute(method, '/plain', () => noContent()),
  testRoute(method, '/required', ({ body }) => body, { body: z.number() }),
  testRoute(method, '/optional', ({ body }) => body ?? 'none', { body: z.number().optional() }),
]);
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
const validation: Layer = { name: 'content-validation', run: contentValidation() };
/** Simulates authentication: when the pipeline continues, the whole message has been parsed. */
const later: Layer = {
  name: 'later',
  run: (ctx, next) => nextLoop().then(() => next(ctx)),
};

const start = (t: TestContext, layers: readonly Layer[] = [validation]) =>
  mustStartServer(t, { routes, layers });

const get = 'GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

/** Sends the message and then a GET on one connection. Returns the response to the message. */
async function responseTo(port: number, head: string, body: string, inPieces = false) {
  const method = head.slice(0, head.indexOf(' '));
  const received = inPieces
    ? await exchangeInPieces(port, head, `${body}${get}`)
    : await exchangeText(port, `${head}${body}${get}`);
  const [answer, behind] = parseResponses(received, [method, 'GET']);
  assert.ok(answer !== undefined);
  return { ...answer, keepsConnection: behind?.status === 204 };
}

/** Sends the rest only after the server has had time to read the beginning. */
function exchangeInPieces(port: number, first: string, second: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(first);
      exchangeText(port, get).then(() => socket.write(second), reject);
    });
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    socket.on('close', () => resolve(received)).on('error', reject);
  });
}

describe('a message without a body', () => {
  for (const [framing, fields, body] of empty) {
    for (const [how, layers, inPieces] of [
      ['in one packet', [validation], false],
      ['in one packet, checked later', [later, validation], false],
      ['in two packets', [validation], true],
    ] as const) {
      it(`a message without a body framed by ${framing}, ${how}, gets the response of one without framing`, async (t) => {
        const { port } = await start(t, layers);
        for (const method of methods) {
          for (const type of types) {
            const ask = (path: string) =>
              responseTo(
                port,
                `${method} ${path} HTTP/1.1\r\nHost: x\r\n${type}${fields}\r\n`,
                body,
                inPieces,
              );
            const where = `${method} ${type.trim()}`;
            const [plain, required, optional] = await Promise.all(
              ['/plain', '/required', '/optional'].map(ask),
            );
            assert.deepEqual([plain?.status, plain?.keepsConnection], [204, true], where);
            assert.deepEqual([required?.status, required?.keepsConnection], [422, true], where);
            assert.deepEqual([optional?.status, optional?.keepsConnection], [200, true], where);
            if (method !== 'HEAD') assert.equal(optional?.body, '"none"', where);
          }
        }
      });
    }
  }

  for (const [framing, fields, body] of empty) {
    it(`a message without a body framed by ${framing} keeps its connection when it is rejected unread`, async (t) => {
      const { port } = await start(t, []);
      for (const target of ['/nothing', '/plain']) {
        const { status, keepsConnection } = await responseTo(
          port,
          `DELETE ${target} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`,
          body,
        );
        assert.deepEqual([status, keepsConnection], [target === '/plain' ? 204 : 404, true]);
      }
    });
  }
});

describe('a message with a body', () => {
  for (const [framing, fields, body] of oneOctet) {
    it(`a message with one octet framed by ${framing} has a body`, async (t) => {
      const { port } = await start(t);
      for (const method of methods) {
        const ask = (path: string, type: string) =>
          responseTo(port, `${method} ${path} HTTP/1.1\r\nHost: x\r\n${type}${fields}\r\n`, body);
        const [none, json, csv, coded] = types;
        assert.equal((await ask('/plain', none ?? '')).status, 400, method);
        assert.equal((await ask('/required', none ?? '')).status, 415, method);
        assert.equal((await ask('/required', csv ?? '')).status, 415, method);
        assert.equal((await ask('/required', `${json}${coded}`)).status, 415, method);
        assert.equal((await ask('/required', json ?? '')).status, 200, method);
        assert.equal((await ask('/optional', json ?? '')).status, 200, method);
      }
    });
  }

  it('a body whose first octet never arrives is 408 at the deadline of the body', async (t) => {
    const server = await mustStartServer(t, { routes, layers: [validation], bodyTimeoutMs: 100 });
    const received = await server.raw(`DELETE /plain HTTP/1.1\r\nHost: x\r\n${chunked}\r\n`, /"code".*\}$/);
    assert.deepEqual(
      parseResponses(received).map(({ status, headers }) => [status, headers.connection]),
      [[408, 'close']],
    );
  });

  it('waiting for a body stops when the client disconnects', async (t) => {
    const gone = createDeferred();
    const watch: Layer = {
      name: 'watch',
      run: (ctx, next) => {
        const done = next(ctx);
        done?.catch((error) => gone.resolve(error.code));
        return done;
      },
    };
    const server = await start(t, [watch, validation]);
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.write(`DELETE /plain HTTP/1.1\r\nHost: x\r\n${chunked}\r\n`);
    });
    await exchangeText(server.port, get);
    socket.destroy();
    await gone.promise;
  });

  it('a body that is announced with 100-continue is rejected before it is sent', async (t) => {
    const server = await start(t);
    const received = await server.raw(
      `DELETE /plain HTTP/1.1\r\nHost: x\r\n${chunked}Expect: 100-continue\r\n\r\n`,
    );
    assert.deepEqual(
      parseResponses(received).map(({ status }) => status),
      [400],
    );
  });

  it('after a body is rejected unread, its connection serves the next request', async (t) => {
    const server = await start(t);
    const size = 60_000;
    const head = `POST /required HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n${chunked}\r\n`;
    const body = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`;
    for (const inPieces of [false, true]) {
      const { status, headers, keepsConnection } = await responseTo(server.port, head, body, inPieces);
      assert.equal(status, 415);
      assert.equal(keepsConnection, headers.connection !== 'close');
    }
  });
});

it('the 201 to an empty chunked body is sent once', async (t) => {
  const route = testRoute('POST', '/', () => created({ id: 1 }, '/1'), {
    responses: { 201: { description: 'Made', schema: z.unknown() } },
  });
  const server = await mustStartServer(t, { routes: [route], layers: [validation] });
  const received = await server.raw(
    `POST / HTTP/1.1\r\nHost: x\r\n${chunked}Connection: close\r\n\r\n0\r\n\r\n`,
  );
  assert.deepEqual(
    parseResponses(received).map(({ status, headers }) => [status, headers.location]),
    [[201, '/1']],
  );
});

describe('on the management port', () => {
  for (const [framing, fields, body] of empty) {
    it(`on the management port, a probe framed by ${framing} is answered and keeps its connection`, async (t) => {
      const server = createManagementServer({
        fleet: {
          reports: () => [],
          readiness: async () => ({ ready: true, detail: 'Ready.' }),
          collectMetrics: async () => createMetrics().snapshot(),
        },
        log: captureLog('DEBUG').log,
        token: '',
        host: '127.0.0.1',
        allowedHosts: [],
      });
      const port = await server.listen(0, '127.0.0.1');
      t.after(() => server.close());
      for (const path of ['/livez', '/readyz', '/metrics']) {
        const first = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n${body}`;
        const second = 'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
        const answers = parseResponses(await exchangeText(port, `${first}${second}`));
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 200],
          path,
        );
      }
    });
  }
});
