import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { problemType } from '../../src/http/problem.ts';
import { ok, stream } from '../../src/http/reply.ts';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { hasNginx, mustStartNginx } from '../helpers/nginx.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { testRoute } from '../helpers/test-route.ts';

interface SentOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** The address of the client. nginx and the server have another one of the loopback interface. */
const client = '127.0.0.5';

/** Sends a request over TLS. `onData` gets the response as it arrives. */
function send(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: SentOptions = {},
  onData?: (text: string) => void,
): Promise<Received> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      {
        ...{ port, host: '127.0.0.1', localAddress: client, path, method, agent: false },
        ...{ headers: { host: 'api.example.com', ...headers }, rejectUnauthorized: false },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          onData?.(text);
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A port in front of a server that can vanish as if the process of the server had been killed. */
async function mustRelay(t: { after(end: () => void): void }, target: string) {
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    return socket;
  };
  const relay = createServer((incoming) => {
    const outgoing = track(connect(Number(new URL(target).port), '127.0.0.1'));
    track(incoming).pipe(outgoing).pipe(incoming);
    incoming.on('close', () => outgoing.destroy());
    outgoing.on('close', () => incoming.destroy());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const address = relay.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  function kill(): void {
    relay.close();
    for (const socket of sockets) socket.resetAndDestroy();
  }
  t.after(kill);
  return {
    port,
    kill,
    async revive() {
      relay.listen(port, '127.0.0.1');
      await once(relay, 'listening');
    },
  };
}

describe('nginx.conf', { skip: !hasNginx && 'nginx is not installed: apt-get install nginx-light' }, () => {
  test('nginx.conf forwards, limits, streams, and sends a request to another server only if that does no harm', async (t) => {
    const firstOf = { GET: createDeferred<string>(), POST: createDeferred<string>() };
    const arrived: string[] = [];
    /** Keeps the first request of each method without a response, and answers the others. */
    const waiting = (name: string) => (method: 'GET' | 'POST') =>
      testRoute(
        method,
        '/wait',
        async () => {
          arrived.push(`${method} ${name}`);
          if (arrived.filter((each) => each.startsWith(method)).length > 1) return ok({ name });
          firstOf[method].resolve(name);
          await ended.promise;
          return ok({ name });
        },
        { operationId: `${method.toLowerCase()}Wait` },
      );
    const ended = createDeferred<void>();
    const events = new PassThrough();
    const serve = (name: string) =>
      mustStartApp(t, {
        env: {
          APP_ALLOWED_HOSTS: 'api.example.com',
          SECURITY_TRUST_PROXY_HEADERS: 'true',
          SECURITY_TRUSTED_PROXIES: '127.0.0.1',
          SECURITY_ENABLE_HSTS: 'true',
          SECURITY_ENFORCE_HTTPS: 'true',
          APP_KEEP_ALIVE_SECONDS: '25',
        },
        extraRoutes: [
          ...(['GET', 'POST'] as const).map(waiting(name)),
          testRoute('GET', '/seen', ({ ctx }) => ok({ address: ctx.clientAddress, host: ctx.host }), {
            operationId: 'seen',
          }),
          testRoute(
            'GET',
            '/events',
            () => stream(events, 'text/event-stream', { 'x-accel-buffering': 'no' }),
            {
              operationId: 'watch',
              responses: { 200: { description: 'Events', contentType: 'text/event-stream' } },
            },
          ),
        ],
      });
    const apps = { a: await serve('a'), b: await serve('b') };
    const relays = { a: await mustRelay(t, apps.a.url), b: await mustRelay(t, apps.b.url) };
    t.after(() => ended.resolve());
    const nginx = await mustStartNginx(t, [relays.a.port, relays.b.port]);
    const { httpPort, httpsPort } = nginx;

    await t.test(
      'the server gets the address, the scheme and the host from nginx, and not from the client',
      async () => {
        const forged = {
          'x-forwarded-for': '203.0.113.9',
          'x-forwarded-proto': 'http',
          'x-forwarded-host': 'evil.example',
          forwarded: 'for=203.0.113.9;proto=http;host=evil.example',
        };
        const { status, headers, text } = await send(httpsPort, '/api/v1/seen', { headers: forged });
        assert.equal(status, 200, text);
        assert.deepEqual(JSON.parse(text), { address: client, host: 'api.example.com' });
        assert.match(String(headers['strict-transport-security']), /max-age/);
        assert.equal(
          (await send(httpsPort, '/api/v1/seen', { headers: { host: 'evil.example' } })).status,
          421,
        );
      },
    );

    await t.test(
      'plain HTTP is redirected, except for the health check, which asks for readiness',
      async () => {
        const redirect = await request(httpPort, { path: '/seen?x=1', headers: { host: 'api.example.com' } });
        assert.equal(redirect.status, 308);
        assert.equal(redirect.headers.location, 'https://api.example.com/seen?x=1');
        const health = await request(httpPort, { path: '/health', headers: { host: 'balancer' } });
        assert.equal(health.status, 200);
        assert.match(health.text, /"status":"(pass|healthy|ok|degraded)"|"checks"/);
        assert.equal((await send(httpsPort, '/health')).status, 200);
      },
    );

    await t.test('metrics are not served', async () => {
      const { status, text } = await send(httpsPort, '/metrics');
      assert.equal(status, 404);
      assert.doesNotMatch(text, /http_requests_total/);
    });

    await t.test(
      'a body beyond the largest limit of the server is rejected by nginx with a problem',
      async () => {
        const { status, headers, text } = await send(httpsPort, '/api/v1/wait', {
          method: 'POST',
          headers: {
            'content-length': '52428801',
            'content-type': 'application/json',
            expect: '100-continue',
          },
        });
        assert.equal(status, 413);
        assert.equal(headers['content-type'], 'application/problem+json');
        const { type, code, layer } = JSON.parse(text);
        assert.deepEqual([type, code, layer], [problemType('body_too_large'), 'body_too_large', 'proxy']);
      },
    );

    await t.test('an event arrives while the stream is open', async () => {
      let isOpen = true;
      const received = send(httpsPort, '/api/v1/events', {}, (text) => {
        if (text.includes('data: 1\n\n') && isOpen) {
          isOpen = false;
          events.end('data: 2\n\n');
        }
      });
      events.write('data: 1\n\n');
      assert.equal((await received).text, 'data: 1\n\ndata: 2\n\n');
    });

    await t.test('a POST whose server is killed is not sent again, and gets a problem', async () => {
      const posted = send(httpsPort, '/api/v1/wait', { method: 'POST' });
      const name = await firstOf.POST.promise;
      const killed = relays[name === 'a' ? 'a' : 'b'];
      killed.kill();
      const { status, text } = await posted;
      await killed.revive();
      assert.equal(status, 502);
      assert.equal(JSON.parse(text).code, 'bad_gateway');
      assert.deepEqual(
        arrived.filter((each) => each.startsWith('POST')),
        [`POST ${name}`],
      );
    });

    await t.test('a GET whose server is killed is sent to the other server', async () => {
      const got = send(httpsPort, '/api/v1/wait');
      const name = await firstOf.GET.promise;
      relays[name === 'a' ? 'a' : 'b'].kill();
      const { status, text } = await got;
      assert.equal(status, 200, text);
      const other = name === 'a' ? 'b' : 'a';
      assert.deepEqual(JSON.parse(text), { name: other });
      assert.deepEqual(
        arrived.filter((each) => each.startsWith('GET')),
        [`GET ${name}`, `GET ${other}`],
      );
    });

    await t.test('a request is answered by the other server while one is away', async () => {
      const statuses = await Promise.all([1, 2, 3, 4, 5, 6].map(() => send(httpsPort, '/api/v1/seen')));
      assert.deepEqual(new Set(statuses.map(({ status }) => status)), new Set([200]));
    });

    await t.test('the access log has one JSON object per request, without the query', async () => {
      await send(httpsPort, '/api/v1/seen?token=hunter2');
      await eventually('the log is written', () => nginx.accessLog().includes('"status_code":502'));
      const lines = nginx.accessLog().trim().split('\n');
      for (const line of lines) assert.equal(JSON.parse(line).event, 'proxy.request');
      assert.doesNotMatch(nginx.accessLog(), /hunter2/);
    });
  });
});
