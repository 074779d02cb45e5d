import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { exchangeText } from '../helpers/http-server.ts';
import { parseResponses, type RawResponse } from '../helpers/raw-responses.ts';
import { mustStartApp, type TestApp } from '../helpers/test-app.ts';

const app = 'https://app.example.com';
const longTarget = `/${'x'.repeat(9000)}`;

/** Messages that are rejected as a whole. */
const refused: [what: string, bytes: string, status: number, code: string][] = [
  [
    'two Host fields',
    'GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\nHost: example.org\r\n',
    400,
    'bad_host',
  ],
  ['no Host field', 'GET /api/v1/meta HTTP/1.1\r\n', 400, 'bad_host'],
  ['a malformed Host field', 'GET /api/v1/meta HTTP/1.1\r\nHost: a b\r\n', 400, 'bad_host'],
  ['a malformed target', 'GET /%zz HTTP/1.1\r\nHost: example.org\r\n', 400, 'bad_target'],
  ['a long target', `GET ${longTarget} HTTP/1.1\r\nHost: example.org\r\n`, 414, 'uri_too_long'],
  [
    'an unknown expectation',
    'GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\nExpect: cake\r\n',
    417,
    'expectation_failed',
  ],
  ['a foreign host', 'GET /api/v1/meta HTTP/1.1\r\nHost: evil.example\r\n', 421, 'misdirected_request'],
  [
    'too many fields',
    `GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\n${'X: y\r\n'.repeat(120)}`,
    431,
    'headers_too_large',
  ],
  [
    'fields that are too long',
    `GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\nX: ${'y'.repeat(20_000)}\r\n`,
    431,
    'headers_too_large',
  ],
  ['an unknown method', 'PROPFIND / HTTP/1.1\r\nHost: example.org\r\n', 501, 'method_not_implemented'],
  ['CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n', 501, 'method_not_implemented'],
  [
    'a transfer coding under chunked',
    'POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: gzip, chunked\r\n',
    501,
    'transfer_coding_not_implemented',
  ],
];

async function mustStart(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const started = await mustStartApp(t, {
    env: { APP_CORS_ALLOW_ORIGINS: app, APP_ALLOWED_HOSTS: 'example.org,127.0.0.1', ...env },
  });
  return { started, port: Number(new URL(started.url).port) };
}

async function mustAnswer(port: number, head: string): Promise<RawResponse> {
  const [answer, ...more] = parseResponses(await exchangeText(port, `${head}Connection: close\r\n\r\n`));
  assert.ok(answer !== undefined && more.length === 0);
  return answer;
}

const remaining = ({ headers }: RawResponse) => Number(/"minute";r=(\d+)/.exec(headers.ratelimit ?? '')?.[1]);

/** Returns the number of answers with this status in the metrics. */
async function countAnswers({ url }: TestApp, status: number): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.matchAll(
    new RegExp(`^http_requests_total\\{[^}]*status="${status}"[^}]*\\} (\\d+)$`, 'gm'),
  );
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe('a message that is rejected as a whole', () => {
  for (const [what, bytes, status, code] of refused) {
    it(`a message with ${what} is answered with ${status}, readable for a page of an allowed origin, counted and logged`, async (t) => {
      const { started, port } = await mustStart(t, {
        SECURITY_RATE_LIMIT_PER_MINUTE: '100',
        SECURITY_ENABLE_PROMETHEUS: 'true',
      });
      const before = remaining(await mustAnswer(port, 'GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\n'));
      const answer = await mustAnswer(port, bytes.replace('\r\n', `\r\nOrigin: ${app}\r\n`));
      assert.equal(answer.status, status);
      assert.equal(JSON.parse(answer.body).code, code);
      assert.equal(answer.headers['access-control-allow-origin'], app);
      assert.equal(remaining(answer), before - 1);
      assert.equal(started.log.of('http.request.complete').filter((line) => line.code === code).length, 1);
      assert.equal(await countAnswers(started, status), 1);
    });
  }

  for (const [what, bytes, status] of [
    ['a method that the parser does not know', 'FOO / HTTP/1.1\r\nHost: example.org\r\n', 501],
    ['a malformed field', 'GET / HTTP/1.1\r\nHost: example.org\r\nBad Header : x\r\n', 400],
  ] as const) {
    it(`a message with ${what}, rejected by the parser, is answered with ${status}, readable only for a page of an allowed origin`, async (t) => {
      const { port } = await mustStart(t);
      for (const [origins, allowed] of [
        [[app], app],
        [['https://evil.example'], undefined],
        [[], undefined],
        [[app, app], undefined],
      ] as const) {
        const fields = origins.map((origin) => `Origin: ${origin}\r\n`).join('');
        const answer = await mustAnswer(port, bytes.replace('\r\n', `\r\n${fields}`));
        assert.equal(answer.status, status);
        assert.equal(answer.headers.vary, 'Origin');
        assert.equal(answer.headers['access-control-allow-origin'], allowed);
      }
    });
  }

  it('without the trusted-host layer, messages are rejected with the same status, except those with a foreign host', async (t) => {
    const { port } = await mustStart(t, { APP_DISABLED_LAYERS: 'trusted-host' });
    for (const [what, bytes, status] of refused) {
      assert.equal((await mustAnswer(port, bytes)).status, status === 421 ? 200 : status, what);
    }
  });

  it('with all optional layers off, a message is rejected before its content is used', async (t) => {
    const { port } = await mustStart(t, {
      APP_DISABLED_LAYERS:
        'trusted-host,cors,rate-limit,caller-limit,content-validation,deadline,proxy-headers',
    });
    for (const [what, bytes, status] of refused) {
      assert.equal((await mustAnswer(port, bytes)).status, status === 421 ? 200 : status, what);
    }
  });

  it('a rejected message is answered with 429 if the client has exceeded the limit', async (t) => {
    const { port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '1',
      SECURITY_RATE_LIMIT_BURST: '0',
    });
    await mustAnswer(port, 'GET /api/v1/meta HTTP/1.1\r\nHost: example.org\r\n');
    for (const [what, bytes] of refused) assert.equal((await mustAnswer(port, bytes)).status, 429, what);
  });

  it('a rejected message to a probe is counted too', async (t) => {
    const { port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '2',
      SECURITY_RATE_LIMIT_BURST: '0',
    });
    const probe = 'GET /api/v1/health/live HTTP/1.1\r\n';
    const statuses = [];
    for (let asked = 0; asked < 3; asked += 1) statuses.push((await mustAnswer(port, probe)).status);
    assert.deepEqual(statuses, [400, 400, 429]);
    assert.equal((await mustAnswer(port, `${probe}Host: 10.0.0.7\r\n`)).status, 200);
  });
});

describe('a message that the parser rejects', () => {
  it('a message that the parser rejects is logged, counted in the metrics, and counted in the limit of its address', async (t) => {
    const { started, port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '3',
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_ENABLE_PROMETHEUS: 'true',
    });
    for (const bytes of ['nonsense\r\n\r\n', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n']) {
      assert.equal(parseResponses(await exchangeText(port, bytes))[0]?.status, 400);
    }
    assert.deepEqual(
      started.log.of('http.client.malformed').map((line) => [line.status, line.client_address]),
      Array(2).fill([400, '127.0.0.1']),
    );
    const metrics = await fetch(`${started.url}/metrics`);
    assert.match(await metrics.text(), /^http_malformed_total\{status="400"\} 2$/m);
    assert.equal((await fetch(`${started.url}/metrics`)).status, 429);
  });

  it('a message that the parser rejects does not count against a trusted proxy, since its client is unknown', async (t) => {
    const { started, port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '1',
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_TRUST_PROXY_HEADERS: 'true',
    });
    for (let sent = 0; sent < 3; sent += 1) await exchangeText(port, 'nonsense\r\n\r\n');
    assert.equal((await fetch(`${started.api}/meta`)).status, 200);
  });
});

describe('a preflight', () => {
  const preflight = (origin: string, fields = 'Host: example.org\r\n', path = '/api/v1/users') =>
    `OPTIONS ${path} HTTP/1.1\r\n${fields}Origin: ${origin}\r\nAccess-Control-Request-Method: POST\r\n`;

  it('a preflight of an allowed origin is answered without counting in the limit', async (t) => {
    const { port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '1',
      SECURITY_RATE_LIMIT_BURST: '0',
    });
    for (let asked = 0; asked < 3; asked += 1) {
      const { status, headers } = await mustAnswer(port, preflight(app));
      assert.deepEqual(
        [status, headers['access-control-allow-origin'], headers.ratelimit],
        [204, app, undefined],
      );
    }
  });

  it('a preflight request of a foreign origin counts in the rate limit and is permitted nothing', async (t) => {
    const { port } = await mustStart(t, {
      SECURITY_RATE_LIMIT_PER_MINUTE: '2',
      SECURITY_RATE_LIMIT_BURST: '0',
    });
    const statuses = [];
    for (let asked = 0; asked < 3; asked += 1) {
      const { status, headers } = await mustAnswer(port, preflight('https://evil.example'));
      assert.equal(headers['access-control-allow-origin'], undefined);
      statuses.push(status);
    }
    assert.deepEqual(statuses, [204, 204, 429]);
  });

  it('a preflight that is rejected as a message is no success, and its problem is readable', async (t) => {
    const { port } = await mustStart(t);
    for (const [fields, path, status] of [
      ['Host: example.org\r\nHost: example.org\r\n', '/', 400],
      ['Host: example.org\r\n', longTarget, 414],
      ['Host: evil.example\r\n', '/', 421],
    ] as const) {
      const answer = await mustAnswer(port, preflight(app, fields, path));
      assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [status, app]);
    }
  });
});

it('a host with a trailing dot is the same host (RFC 1034, section 3.1)', async (t) => {
  const { port } = await mustStart(t);
  for (const host of ['example.org.', 'Example.ORG.:80']) {
    const answer = await mustAnswer(port, `GET /api/v1/meta HTTP/1.1\r\nHost: ${host}\r\n`);
    assert.equal(answer.status, 200, host);
  }
});
