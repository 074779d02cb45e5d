import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { AppError } from '../../src/errors.ts';
import { createHttpClient, type HttpClientOptions } from '../../src/http-client/http-client.ts';
import type { OutgoingRequest } from '../../src/http-client/outgoing-request.ts';
import { deadline } from '../../src/middleware/deadline.ts';
import { requestId } from '../../src/middleware/request-id.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { runInRequest } from '../../src/observability/request-context.ts';
import { parseTraceContext } from '../../src/observability/trace-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { mustStartServer } from '../helpers/http-server.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { testRoute } from '../helpers/test-route.ts';

interface Service {
  readonly url: string;
  readonly port: number;
  readonly seen: { method: string; path: string; headers: IncomingHttpHeaders; body: string }[];
}

type Answer = (response: ServerResponse, request: IncomingMessage, count: number) => void;

/** Starts a real server that answers each path as the table specifies; `count` is the number of the request, from 1. */
async function mustServe(
  t: Pick<TestContext, 'after'>,
  answers: Readonly<Record<string, Answer>>,
): Promise<Service> {
  const seen: Service['seen'] = [];
  const listener: RequestListener = async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const path = request.url ?? '';
    seen.push({ method: request.method ?? '', path, headers: request.headers, body });
    const count = seen.filter((each) => each.path === path).length;
    const answer = answers[path.split('?')[0] ?? ''];
    if (answer === undefined) response.writeHead(404).end();
    else answer(response, request, count);
  };
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, seen };
}

/** Creates a client that may call the loopback interface and waits no time before retries. */
function mustCreateClient(t: Pick<TestContext, 'after'>, options: Partial<HttpClientOptions> = {}) {
  const { log, of, text } = captureLog();
  const metrics = createMetrics();
  const client = createHttpClient({
    ...{ log, metrics, circuitMetrics: createCircuitMetrics(metrics) },
    allowedAddresses: ['127.0.0.1'],
    userAgent: 'strata/test',
    random: () => 0,
    ...options,
  });
  t.after(() => client.close());
  return {
    ...client,
    get: (url: string, request: Partial<OutgoingRequest> = {}) =>
      client.fetch(url, { service: 'weather', ...request }),
    log: { of, text },
    snapshot: () => metrics.snapshot(),
  };
}

const code = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, expected, error.message);
  return true;
};

const ok: Answer = (response) => response.end('fine');
const reset: Answer = (response) => response.destroy();
const redirectTo =
  (location: string, status = 302): Answer =>
  (response) =>
    response.writeHead(status, { location }).end();

describe('an outgoing request', () => {
  it('an outgoing request sends its JSON and headers, and resolves with the response whatever its status', async (t) => {
    const { url, seen } = await mustServe(t, {
      '/things': (response) => response.writeHead(409, { 'x-reason': 'taken' }).end('{"taken":true}'),
    });
    const { get } = mustCreateClient(t);
    const response = await get(`${url}/things`, {
      method: 'POST',
      json: { name: 'é' },
      headers: { Authorization: 'Bearer abc' },
    });
    assert.equal(response.status, 409);
    assert.equal(response.headers.get('x-reason'), 'taken');
    assert.deepEqual(await response.json(), { taken: true });
    const [request] = seen;
    assert.deepEqual([request?.method, request?.body], ['POST', '{"name":"é"}']);
    assert.equal(request?.headers.authorization, 'Bearer abc');
    assert.equal(request?.headers['user-agent'], 'strata/test');
    assert.equal(request?.headers['content-type'], 'application/json');
  });

  it('an outgoing request passes on the id and the trace of the current request', async (t) => {
    const { url, seen } = await mustServe(t, { '/': ok });
    const { get } = mustCreateClient(t);
    const { signal } = new AbortController();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const trace = parseTraceContext(traceparent, 'vendor=1');
    await runInRequest({ id: 'r-1', signal, trace }, () => get(url));
    await runInRequest({ id: 'r-2', signal }, () => get(url));
    await get(url);
    assert.deepEqual(
      seen.map(({ headers }) => [headers['x-request-id'], headers.traceparent, headers.tracestate]),
      [
        ['r-1', traceparent, 'vendor=1'],
        ['r-2', undefined, undefined],
        [undefined, undefined, undefined],
      ],
    );
  });

  for (const [encoding, compress] of Object.entries({
    gzip: gzipSync,
    br: brotliCompressSync,
    deflate: deflateSync,
  })) {
    it(`a response with ${encoding} is decompressed`, async (t) => {
      const { url } = await mustServe(t, {
        '/': (response) =>
          response.writeHead(200, { 'content-encoding': encoding }).end(compress('plain text')),
      });
      const response = await mustCreateClient(t).get(url);
      assert.equal(await response.text(), 'plain text');
      assert.equal(response.headers.get('content-encoding'), null);
    });
  }

  it('one log event describes the call without query, and metrics count it by service and outcome', async (t) => {
    const { url } = await mustServe(t, { '/hook/abc': ok });
    const { get, log, snapshot } = mustCreateClient(t);
    await get(`${url}/hook/abc?token=s3cr3t-value`);
    await get(`${url}/hook/abc`, { hidePath: true });
    const lines = log.of('outgoing.completed');
    assert.deepEqual(
      lines.map(({ service, method, url: shown, status, attempts, bytes }) => [
        service,
        method,
        shown,
        status,
        attempts,
        bytes,
      ]),
      [
        ['weather', 'GET', `${url}/hook/abc`, 200, 1, 4],
        ['weather', 'GET', url, 200, 1, 4],
      ],
    );
    assert.doesNotMatch(log.text(), /s3cr3t/);
    const labels = { service: 'weather', outcome: '2xx' };
    assert.equal(metricValue(snapshot(), 'outgoing_request_duration_seconds', labels).count, 2);
  });
});

describe('the time of an outgoing request', () => {
  it('a service that does not answer fails the call at its time limit, and the connection is closed', async (t) => {
    const closed = createDeferred();
    const { url } = await mustServe(t, {
      '/': (response) => response.once('close', () => closed.resolve()),
    });
    const { get, log } = mustCreateClient(t);
    await assert.rejects(get(url, { timeoutMs: 50 }), code('outgoing_timeout'));
    await closed.promise;
    assert.equal(log.of('outgoing.failed')[0]?.outcome, 'outgoing_timeout');
  });

  it('a service that sends its body too slowly fails the call at its time limit', async (t) => {
    const { url } = await mustServe(t, { '/': (response) => response.writeHead(200).write('a') });
    await assert.rejects(mustCreateClient(t).get(url, { timeoutMs: 50 }), code('outgoing_timeout'));
  });

  it('a call takes at most the remaining time of the current request, and its own time after the response', async (t) => {
    const { url } = await mustServe(t, {
      '/': () => {},
      '/fast': ok,
      '/busy': (response) => response.writeHead(503, { 'retry-after': '1' }).end(),
    });
    const { get } = mustCreateClient(t);
    const later = createDeferred<number>();
    const server = await mustStartServer(t, {
      layers: [
        { name: 'request-id', run: requestId() },
        { name: 'deadline', run: deadline({ timeoutMs: 100 }) },
      ],
      routes: [
        testRoute('GET', '/slow', () => get(url)),
        testRoute('GET', '/busy', async () => ({ status: (await get(`${url}/busy`)).status })),
        testRoute('GET', '/stream', async () => {
          // As an event stream does, the handler continues after its response.
          setTimeout(() => get(`${url}/fast`).then(({ status }) => later.resolve(status), later.reject), 150);
          return {};
        }),
      ],
    });
    const { status, json } = await server.request({ path: '/slow' });
    assert.deepEqual([status, json.code], [503, 'deadline_exceeded']);
    // A retry after a second would be too late, so the handler gets the response.
    assert.deepEqual((await server.request({ path: '/busy' })).json, { status: 503 });
    assert.equal((await server.request({ path: '/stream' })).status, 200);
    assert.equal(await later.promise, 200);
  });

  it('a call ends with the current request, and with the signal of its caller', async (t) => {
    const controller = new AbortController();
    const { url } = await mustServe(t, { '/': () => controller.abort(new AppError('client_gone', 'Gone.')) });
    const { get } = mustCreateClient(t);
    await assert.rejects(
      runInRequest({ id: 'r', signal: controller.signal }, () => get(url)),
      code('client_gone'),
    );
    await assert.rejects(get(url, { signal: controller.signal }), code('client_gone'));
  });
});

describe('the size of a response', () => {
  it('a response that exceeds its limit fails the call, and the connection is closed', async (t) => {
    const closed = createDeferred();
    const { url } = await mustServe(t, {
      '/': (response) => {
        response.once('close', () => closed.resolve());
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384)));
        };
        response.on('drain', more);
        more();
      },
    });
    await assert.rejects(
      mustCreateClient(t).get(url, { maxResponseBytes: 100_000 }),
      code('outgoing_response_invalid'),
    );
    await closed.promise;
  });

  it('a small compressed body that decompresses to a huge one fails the call', async (t) => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const { url } = await mustServe(t, {
      '/': (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    });
    assert.ok(bomb.length < 100_000);
    await assert.rejects(mustCreateClient(t).get(url), code('outgoing_response_invalid'));
  });

  it('a body that is not in its content encoding fails the call', async (t) => {
    const { url } = await mustServe(t, {
      '/gzip': (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip'),
      '/other': (response) => response.writeHead(200, { 'content-encoding': 'zip' }).end('x'),
    });
    const { get } = mustCreateClient(t);
    await assert.rejects(get(`${url}/gzip`), code('outgoing_response_invalid'));
    await assert.rejects(get(`${url}/other`), code('outgoing_response_invalid'));
  });
});

describe('retries', () => {
  it('a GET is sent again after a reset connection and after 503, and the log has the number of attempts', async (t) => {
    const { url, seen } = await mustServe(t, {
      '/': (response, request, count) => {
        if (count === 1) reset(response, request, count);
        else response.writeHead(count === 2 ? 503 : 200).end('fine');
      },
    });
    const { get, log, snapshot } = mustCreateClient(t);
    assert.equal((await get(url)).status, 200);
    assert.equal(seen.length, 3);
    assert.equal(log.of('outgoing.completed')[0]?.attempts, 3);
    assert.equal(metricValue(snapshot(), 'outgoing_retries_total').sum, 2);
  });

  it('a POST is sent once, unless it is declared idempotent', async (t) => {
    const { url, seen } = await mustServe(t, { '/': reset });
    const { get } = mustCreateClient(t);
    await assert.rejects(get(url, { method: 'POST' }), code('outgoing_unavailable'));
    assert.equal(seen.length, 1);
    await assert.rejects(get(url, { method: 'POST', idempotent: true }), code('outgoing_unavailable'));
    assert.equal(seen.length, 4);
  });

  it('a response that asks for a longer wait than the call has is returned at once', async (t) => {
    const { url, seen } = await mustServe(t, {
      '/': (response) => response.writeHead(503, { 'retry-after': '60' }).end(),
    });
    assert.equal((await mustCreateClient(t).get(url)).status, 503);
    assert.equal(seen.length, 1);
  });

  it('a retry waits as long as Retry-After asks for', async (t) => {
    const { url, seen } = await mustServe(t, {
      '/': (response, _request, count) =>
        response.writeHead(count === 1 ? 503 : 200, { 'retry-after': '1' }).end(),
    });
    const startedAt = performance.now();
    assert.equal((await mustCreateClient(t).get(url)).status, 200);
    assert.equal(seen.length, 2);
    assert.ok(performance.now() - startedAt >= 990);
  });

  it('the retries of an origin are limited to a part of its calls', async (t) => {
    const { url, seen } = await mustServe(t, { '/': (response) => response.writeHead(429).end() });
    const { get } = mustCreateClient(t);
    for (let call = 0; call < 20; call += 1) await get(url);
    assert.equal(seen.length, 20 + 10 + 1);
  });
});

describe('redirects', () => {
  it('a redirect to the same origin is followed, 303 with GET and 307 with the same method and body', async (t) => {
    const { url, seen } = await mustServe(t, {
      '/a': redirectTo('/b', 307),
      '/b': redirectTo('/c', 303),
      '/c': ok,
    });
    const response = await mustCreateClient(t).get(`${url}/a`, { method: 'POST', json: 1 });
    assert.equal(await response.text(), 'fine');
    assert.deepEqual(
      seen.map(({ method, path, body, headers }) => [method, path, body, headers['content-type']]),
      [
        ['POST', '/a', '1', 'application/json'],
        ['POST', '/b', '1', 'application/json'],
        ['GET', '/c', '', undefined],
      ],
    );
  });

  it('a redirect to another origin fails the call by default; if allowed, it gets no credentials', async (t) => {
    const other = await mustServe(t, { '/x': ok });
    const { url } = await mustServe(t, { '/': redirectTo(`${other.url}/x`) });
    const { get } = mustCreateClient(t);
    await assert.rejects(get(url), code('outgoing_response_invalid'));
    assert.equal(other.seen.length, 0);
    const headers = { authorization: 'Bearer abc', cookie: 'a=b', 'x-my-key': 'k', accept: 'text/plain' };
    await get(url, { redirect: 'any-origin', headers });
    const sent = other.seen[0]?.headers;
    assert.deepEqual(
      [sent?.authorization, sent?.cookie, sent?.['x-my-key'], sent?.accept],
      [undefined, undefined, undefined, 'text/plain'],
    );
  });

  it('an endless redirect fails the call, and a redirect can be left to the caller', async (t) => {
    const { url, seen } = await mustServe(t, { '/': redirectTo('/') });
    const { get } = mustCreateClient(t);
    await assert.rejects(get(url), code('outgoing_response_invalid'));
    assert.equal(seen.length, 6);
    assert.equal((await get(url, { redirect: 'manual' })).status, 302);
  });

  for (const location of [
    'http://127.0.0.2/',
    'http://[::1]/',
    'http://u:p@127.0.0.1/',
    'file:///etc/passwd',
  ]) {
    it(`a redirect to ${location} is refused`, async (t) => {
      const { url } = await mustServe(t, { '/': redirectTo(location) });
      await assert.rejects(
        mustCreateClient(t).get(url, { redirect: 'any-origin' }),
        code('outgoing_refused'),
      );
    });
  }
});

describe('addresses that are not called', () => {
  const hosts = [
    ...['127.0.0.1', '127.1', '2130706433', '0177.0.0.1', '0x7f000001', '127。0。0。1'],
    ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::1]', '[::]', '0.0.0.0', 'localhost'],
  ];
  it('no spelling of the loopback address is called, and no request arrives', async (t) => {
    const { port, seen } = await mustServe(t, { '/': ok });
    const { get } = mustCreateClient(t, { allowedAddresses: [] });
    for (const host of hosts)
      await assert.rejects(get(`http://${host}:${port}/`), code('outgoing_refused'), host);
    assert.equal(seen.length, 0);
  });

  for (const url of [
    'http://user:secret@example.com/',
    'http://user@example.com/',
    'ftp://example.com/',
    '/path',
    'nonsense',
  ]) {
    it(`the URL ${url} is refused`, async (t) => {
      await assert.rejects(mustCreateClient(t).get(url), code('outgoing_refused'));
    });
  }

  it('the error of a rejected address does not name it, and the log does', async (t) => {
    const { get, log } = mustCreateClient(t, {
      allowedAddresses: [],
      resolve: async () => [{ address: '10.1.2.3', family: 4 }],
    });
    await assert.rejects(get('http://service.test/'), (error: Error) => !error.message.includes('10.1.2.3'));
    assert.match(JSON.stringify(log.of('outgoing.failed')), /10\.1\.2\.3/);
  });

  it('a name is resolved once, and the connection goes to the address that was checked', async (t) => {
    const { port, seen } = await mustServe(t, { '/': ok });
    // A name that changes its address at each look-up; a second look-up would return one that nothing listens on.
    const answers = ['127.0.0.1', '127.0.0.9'];
    let lookups = 0;
    const { get } = mustCreateClient(t, {
      resolve: async () => [{ address: answers[lookups++] ?? '', family: 4 }],
    });
    await get(`http://rebinding.test:${port}/`);
    assert.deepEqual([lookups, seen.length, seen[0]?.headers.host], [1, 1, `rebinding.test:${port}`]);
    await assert.rejects(get(`http://rebinding.test:${port}/`, { method: 'POST' }), code('outgoing_refused'));
  });

  it('a name with one address that may not be reached is refused as a whole', async (t) => {
    const { get } = mustCreateClient(t, {
      resolve: async () => [
        { address: '127.0.0.1', family: 4 },
        { address: '::ffff:10.0.0.1', family: 6 },
      ],
    });
    await assert.rejects(get('http://mixed.test/'), code('outgoing_refused'));
  });

  it('a name that cannot be resolved fails the call', async (t) => {
    const { get } = mustCreateClient(t, {
      resolve: () => Promise.reject(new Error('no answer of the DNS server')),
    });
    await assert.rejects(get('http://nowhere.test/', { retries: 0 }), code('outgoing_unavailable'));
  });
});

it('an https service with an unknown certificate is not called', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-tls-'));
  t.after(() => rm(folder, { recursive: true }));
  const [key, certificate] = [join(folder, 'key'), join(folder, 'certificate')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', certificate], {
    stdio: 'ignore',
  });
  let requests = 0;
  const options = { key: await readFile(key), cert: await readFile(certificate) };
  const server = createSecureServer(options, (_request, response) => {
    requests += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { get, log } = mustCreateClient(t);
  await assert.rejects(get(`https://127.0.0.1:${port}/`, { retries: 0 }), code('outgoing_unavailable'));
  assert.equal(requests, 0);
  assert.match(log.text(), /self-signed certificate/);
});

describe('the circuit of an origin', () => {
  it('a service that fails repeatedly is not called until a trial succeeds', async (t) => {
    let status = 500;
    const { url, seen } = await mustServe(t, { '/': (response) => response.writeHead(status).end() });
    const { get, log, openCircuits, snapshot } = mustCreateClient(t, {
      breakerPolicy: {
        ...{ windowMs: 10_000, minCalls: 3, minFailures: 3, failureRate: 0.5 },
        ...{ slowCallMs: 5_000, openMs: 100, maxOpenMs: 1_000 },
      },
    });
    for (let call = 0; call < 3; call += 1) await get(url);
    await assert.rejects(get(url), (error: unknown) => {
      assert.ok(error instanceof AppError);
      assert.deepEqual([error.code, error.headers?.['retry-after']], ['outgoing_unavailable', '1']);
      return true;
    });
    assert.equal(seen.length, 3);
    assert.deepEqual(openCircuits(), ['weather']);
    assert.equal(metricValue(snapshot(), 'circuits_open', { kind: 'outgoing' }).sum, 1);
    assert.equal(metricValue(snapshot(), 'circuit_rejections_total', { kind: 'outgoing' }).sum, 1);
    status = 200;
    await assert.doesNotReject(retried(() => get(url)));
    assert.deepEqual(openCircuits(), []);
    assert.deepEqual(
      [...log.of('circuit.opened'), ...log.of('circuit.closed')].map(({ circuit, origin }) => [
        circuit,
        origin,
      ]),
      [
        ['weather', url],
        ['weather', url],
      ],
    );
  });
});

/** Calls until the circuit admits it. */
async function retried(call: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await call();
      return;
    } catch (error) {
      if (attempt === 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
