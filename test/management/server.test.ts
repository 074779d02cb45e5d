import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import type { TestContext } from 'node:test';
import { describe, test } from 'node:test';
import type { FiringAlert } from '../../src/alerts/alert-evaluator.ts';
import type { Fleet, ProcessReport } from '../../src/cluster/fleet.ts';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { createManagementServer, type ManagementOptions } from '../../src/management/server.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { request } from '../helpers/http-client.ts';
import { exchangeText } from '../helpers/http-server.ts';
import { parseResponses } from '../helpers/raw-responses.ts';

const worker: ProcessReport = {
  id: 1,
  kind: 'requests',
  pid: 4711,
  state: 'ready',
  ageSeconds: 12.34567,
  requests: 1000,
  inFlight: 2,
  rssBytes: 80_000_000,
  heapBytes: 20_000_000,
  eventLoopLagMs: 1.23456,
  utilisation: 0.12345,
  secondsSinceHeartbeat: 0.4,
};

/** A fleet with the given readiness and reports. */
function fleetOf(parts: Partial<Fleet> = {}): Fleet {
  return {
    reports: () => [worker],
    readiness: async () => ({ ready: true, detail: '1 of 1 workers answer.' }),
    collectMetrics: async () => createMetrics().snapshot(),
    ...parts,
  };
}

async function mustListen(t: TestContext, fleet: Fleet, token = '', how: Partial<ManagementOptions> = {}) {
  const captured = captureLog('DEBUG');
  const server = createManagementServer({
    fleet,
    log: captured.log,
    token,
    host: '127.0.0.1',
    allowedHosts: [],
    ...how,
  });
  const port = await server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  return {
    log: captured,
    port,
    get: (path: string, headers = {}) => request(port, { path, headers }),
    ask: (method: string, path: string) => request(port, { method, path }),
  };
}

/** Returns the status of an answer on a connection that `agent` keeps open. */
function statusOf(port: number, agent: Agent, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', path, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end();
  });
}

describe('the probes', () => {
  test('/livez is 200 whatever the state of the workers', async (t) => {
    const { get } = await mustListen(
      t,
      fleetOf({ readiness: async () => ({ ready: false, detail: 'No worker answers.' }) }),
    );
    const answer = await get('/livez');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, { status: 'pass' });
  });

  test('/readyz is 200 with the reason while the fleet is ready', async (t) => {
    const { get } = await mustListen(t, fleetOf());
    const answer = await get('/readyz');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, { status: 'pass', detail: '1 of 1 workers answer.' });
  });

  test('/readyz is 503 with the reason while the fleet is not ready', async (t) => {
    const { get } = await mustListen(
      t,
      fleetOf({ readiness: async () => ({ ready: false, detail: 'No worker answers.' }) }),
    );
    const answer = await get('/readyz');
    assert.equal(answer.status, 503);
    assert.deepEqual(answer.json, { status: 'fail', detail: 'No worker answers.' });
  });

  test('probes are answered while idle clients hold every connection', async (t) => {
    const captured = captureLog('DEBUG');
    const server = createManagementServer({
      fleet: fleetOf(),
      log: captured.log,
      token: '',
      host: '127.0.0.1',
      allowedHosts: [],
    });
    const port = await server.listen(0, '127.0.0.1');
    const agent = new Agent({ keepAlive: true, maxSockets: 300, maxFreeSockets: 300 });
    t.after(async () => {
      agent.destroy();
      await server.close();
    });
    const held = Array.from({ length: 300 }, () => statusOf(port, agent, '/livez'));
    await Promise.all(held);
    for (let count = 0; count < 50; count += 1) {
      assert.equal((await request(port, { path: '/livez' })).status, 200);
      assert.equal((await request(port, { path: '/readyz' })).status, 200);
    }
  });

  test('probes are answered while other requests have reached their limit of connections', async (t) => {
    const scraped = createDeferred();
    const collectMetrics = async () => {
      await scraped.promise;
      return createMetrics().snapshot();
    };
    const fleet = fleetOf({ collectMetrics });
    const server = createManagementServer({
      fleet,
      log: captureLog().log,
      token: '',
      host: '127.0.0.1',
      allowedHosts: [],
      maxConnections: 16,
    });
    const port = await server.listen(0, '127.0.0.1');
    t.after(() => server.close());
    const scrapes = Array.from({ length: 16 }, () => request(port, { path: '/metrics' }));
    const first = await Promise.race(scrapes);
    assert.equal(first.status, 503);
    assert.equal(first.headers['retry-after'], '1');
    for (let count = 0; count < 20; count += 1) {
      assert.equal((await request(port, { path: '/livez' })).status, 200);
    }
    scraped.resolve();
    const statuses = (await Promise.all(scrapes)).map(({ status }) => status);
    assert.deepEqual([statuses.filter((status) => status === 200).length, statuses.length], [14, 16]);
  });

  test('probes are not logged', async (t) => {
    const { get, log } = await mustListen(t, fleetOf());
    await get('/livez');
    await get('/readyz');
    assert.equal(log.text(), '');
  });
});

test('/metrics returns the metrics of the fleet in the text format of Prometheus', async (t) => {
  const metrics = createMetrics();
  metrics.counter({ name: 'cakes_total', help: 'Cakes that were baked.' }).of().add(3);
  const { get } = await mustListen(t, fleetOf({ collectMetrics: async () => metrics.snapshot() }));
  const answer = await get('/metrics');
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  assert.match(answer.text, /^# TYPE cakes_total counter$/m);
  assert.match(answer.text, /^cakes_total 3$/m);
});

test('/workers lists the reports of all processes in snake_case, rounded', async (t) => {
  const { get } = await mustListen(t, fleetOf());
  const answer = await get('/workers');
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(answer.json, [
    {
      id: 1,
      kind: 'requests',
      pid: 4711,
      state: 'ready',
      age_seconds: 12.346,
      requests: 1000,
      in_flight: 2,
      rss_bytes: 80_000_000,
      heap_bytes: 20_000_000,
      event_loop_lag_ms: 1.235,
      utilisation: 0.123,
      silent_seconds: 0.4,
    },
  ]);
});

test('every answer, including errors, forbids caching and type sniffing', async (t) => {
  const { get } = await mustListen(t, fleetOf(), 'correct-horse-battery');
  for (const path of ['/livez', '/readyz', '/metrics', '/workers', '/nothing']) {
    const { headers } = await get(path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
  }
});

test('/alerts lists the firing alerts, and whether alerting is on', async (t) => {
  const off = await mustListen(t, fleetOf());
  assert.deepEqual((await off.get('/alerts')).json, { enabled: false, firing: [] });
  const alert: FiringAlert = {
    rule: 'auth_failures',
    severity: 'ticket',
    summary: '60 logins or credentials were rejected within 300 s.',
    since: new Date('2026-01-01T00:00:00Z'),
    value: 60,
    threshold: 50,
    runbook: 'docs/runbooks.md#strataauthfailures',
  };
  const on = await mustListen(t, fleetOf(), '', { alerts: () => [alert] });
  assert.deepEqual((await on.get('/alerts')).json, {
    enabled: true,
    firing: [{ ...alert, since: '2026-01-01T00:00:00.000Z' }],
  });
});

describe('with a token', () => {
  const token = 'correct-horse-battery';

  for (const path of ['/metrics', '/workers', '/alerts']) {
    test(`${path} answers a request with the token`, async (t) => {
      const { get } = await mustListen(t, fleetOf(), token);
      assert.equal((await get(path, { authorization: `Bearer ${token}` })).status, 200);
      assert.equal((await get(path, { authorization: `bearer ${token}` })).status, 200);
    });

    test(`${path} rejects a request without a token, and names the setting`, async (t) => {
      const { get } = await mustListen(t, fleetOf(), token);
      const answer = await get(path);
      assert.equal(answer.status, 401);
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="management"');
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.match(answer.json.detail, /APP_MANAGEMENT_TOKEN/);
    });

    for (const shown of ['wrong', `${token}x`, token.slice(1), '', `Basic ${token}`]) {
      test(`${path} rejects the Authorization ${JSON.stringify(shown)}, and logs no token`, async (t) => {
        const { get, log } = await mustListen(t, fleetOf(), token);
        const authorization = shown.startsWith('Basic') ? shown : `Bearer ${shown}`;
        const answer = await get(path, { authorization });
        assert.equal(answer.status, 401);
        assert.doesNotMatch(answer.text, /correct-horse/);
        assert.match(log.text(), /auth\.credentials\.refused/);
        assert.doesNotMatch(log.text(), /correct-horse|wrong/);
      });
    }
  }

  for (const path of ['/livez', '/readyz']) {
    test(`${path} requires no token`, async (t) => {
      const { get } = await mustListen(t, fleetOf(), token);
      assert.equal((await get(path)).status, 200);
    });
  }
});

test('HEAD of a probe returns its status without a body', async (t) => {
  const { ask } = await mustListen(t, fleetOf());
  const answer = await ask('HEAD', '/livez');
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '');
});

test('an unknown path is a problem with 404, and a wrong method one with 405', async (t) => {
  const { get, ask } = await mustListen(t, fleetOf());
  assert.equal((await get('/api/v1/users')).json.code, 'not_found');
  const answer = await ask('POST', '/livez');
  assert.equal(answer.status, 405);
  assert.equal(answer.json.code, 'method_not_allowed');
});

test('an error of the fleet is a 500 without details, and the log has the error', async (t) => {
  const { get, log } = await mustListen(
    t,
    fleetOf({
      collectMetrics: async () => {
        throw new Error('the channel is broken');
      },
    }),
  );
  const answer = await get('/metrics');
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /channel/);
  assert.match(log.text(), /the channel is broken/);
});

describe('a message that the public port rejects', () => {
  const end = 'Connection: close\r\n\r\n';
  const table: [what: string, bytes: string, status: number][] = [
    ['two Host fields', 'GET PATH HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n', 400],
    ['no Host field', 'GET PATH HTTP/1.1\r\n', 400],
    ['a malformed Host field', 'GET PATH HTTP/1.1\r\nHost: a b\r\n', 400],
    ['a malformed target', 'GET PATH%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n', 400],
    ['a long target', `GET PATH?${'x'.repeat(9000)} HTTP/1.1\r\nHost: 127.0.0.1\r\n`, 414],
    ['a target of 12,000 bytes', `GET PATH?${'x'.repeat(12_000)} HTTP/1.1\r\nHost: 127.0.0.1\r\n`, 414],
    ['too many fields', `GET PATH HTTP/1.1\r\nHost: 127.0.0.1\r\n${'X: y\r\n'.repeat(60)}`, 431],
    ['an unknown method', 'PROPFIND PATH HTTP/1.1\r\nHost: 127.0.0.1\r\n', 501],
    ['an unknown expectation', 'GET PATH HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: cake\r\n', 417],
    [
      'a transfer coding under chunked',
      'GET PATH HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n',
      501,
    ],
    ['a space before the colon', 'GET PATH HTTP/1.1\r\nHost : 127.0.0.1\r\n', 400],
    ['CONNECT', 'CONNECT PATH:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n', 501],
  ];
  for (const [what, bytes, status] of table) {
    test(`a message with ${what} is answered with ${status} on the management port too, at every path`, async (t) => {
      const { port } = await mustListen(t, fleetOf());
      for (const path of ['/livez', '/readyz', '/metrics', '/workers', '/nothing']) {
        const target = bytes.startsWith('CONNECT') ? 'example.org' : path;
        const received = await exchangeText(port, `${bytes.replace('PATH', target)}${end}`);
        assert.deepEqual(
          parseResponses(received).map((each) => each.status),
          [status],
          path,
        );
      }
    });
  }
});

describe('the Host of a request', () => {
  const guarded = ['/metrics', '/workers', '/alerts', '/nothing'];

  for (const [listensOn, allowedHosts, host, allowed] of [
    ['127.0.0.1', [], 'localhost:9181', true],
    ['127.0.0.1', [], 'LOCALHOST.', true],
    ['127.0.0.1', [], '127.0.0.1:9181', true],
    ['127.0.0.1', [], '127.8.8.8', true],
    ['127.0.0.1', [], '[::1]:9181', true],
    ['127.0.0.1', [], '[0:0:0:0:0:0:0:1]', true],
    ['127.0.0.1', [], '[::ffff:127.0.0.1]', true],
    ['127.0.0.1', [], '10.0.0.7:9181', false],
    ['127.0.0.1', [], '127.999.1.1', false],
    ['127.0.0.1', [], '127.0.0.1.1', false],
    ['127.0.0.1', [], 'rebound.example', false],
    ['127.0.0.1', [], '127.0.0.1.rebound.example', false],
    ['127.0.0.1', [], 'localhost.rebound.example:9181', false],
    ['0.0.0.0', [], '10.0.0.7:9181', true],
    ['0.0.0.0', [], '[2001:db8::7]:9181', true],
    ['0.0.0.0', [], 'strata.monitoring.svc', false],
    ['0.0.0.0', ['strata.monitoring.svc'], 'strata.monitoring.svc:9181', true],
    ['0.0.0.0', ['*.monitoring.svc'], 'strata.monitoring.svc.', true],
    ['::', [], '10.0.0.7', true],
    ['::', ['*'], 'whatever.example', true],
    ['10.0.0.7', [], '10.0.0.7:9181', true],
    ['10.0.0.7', [], '10.0.0.8', false],
    ['10.0.0.7', ['10.0.0.8'], '10.0.0.8', true],
    ['strata.internal', [], 'strata.internal:9181', true],
    ['strata.internal', [], 'other.internal', false],
  ] as const) {
    const listed = allowedHosts.length === 0 ? '' : ` with ${allowedHosts} allowed`;
    test(`the Host ${JSON.stringify(host)} is ${allowed ? 'accepted' : 'rejected'} on a port that listens on ${listensOn}${listed}`, async (t) => {
      const { get } = await mustListen(t, fleetOf(), '', { host: listensOn, allowedHosts });
      for (const path of guarded) {
        const { status, json } = await get(path, { host }).then((answer) => ({
          status: answer.status,
          json: answer.status === 421 ? answer.json : undefined,
        }));
        assert.equal(status, allowed ? (path === '/nothing' ? 404 : 200) : 421, path);
        if (!allowed) assert.match(json.detail, /APP_MANAGEMENT_ALLOWED_HOSTS/);
      }
      for (const path of ['/livez', '/readyz']) assert.equal((await get(path, { host })).status, 200, path);
    });
  }
});

test('only probes answer a request without a Host', async (t) => {
  const { port } = await mustListen(t, fleetOf());
  for (const [path, status] of [
    ['/metrics', 421],
    ['/livez', 200],
  ] as const) {
    for (const head of [
      `GET ${path} HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n`,
      `GET ${path} HTTP/1.0\r\n\r\n`,
    ]) {
      assert.equal(parseResponses(await exchangeText(port, head))[0]?.status, status, head);
    }
  }
});

describe('wrong tokens', () => {
  const token = 'correct-horse-battery';
  const right = { authorization: `Bearer ${token}` };
  const wrong = { authorization: 'Bearer wrong' };

  test('after five wrong tokens at any path, each further token of the address has to wait longer, even the right one', async (t) => {
    let now = 0;
    const { get, log } = await mustListen(t, fleetOf(), token, { now: () => now });
    for (const path of ['/metrics', '/workers', '/metrics', '/workers', '/metrics', '/metrics']) {
      assert.equal((await get(path, wrong)).status, 401);
    }
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      for (const shown of [wrong, right]) {
        const refused = await get('/workers', shown);
        assert.deepEqual(
          [refused.status, refused.json.code, refused.headers['retry-after']],
          [429, 'rate_limited', String(seconds)],
        );
      }
      assert.equal((await get('/metrics')).status, 401);
      assert.equal((await get('/livez')).status, 200);
      now += seconds * 1000;
      assert.equal((await get('/workers', wrong)).status, 401);
    }
    now += 60_000;
    assert.equal((await get('/workers', right)).status, 200);
    for (let guess = 0; guess < 5; guess += 1) assert.equal((await get('/workers', wrong)).status, 401);
    assert.equal((await get('/workers', right)).status, 200);
    assert.doesNotMatch(log.text(), /wrong|correct-horse/);
  });

  test('wrong tokens are forgotten after 15 minutes', async (t) => {
    let now = 0;
    const { get } = await mustListen(t, fleetOf(), token, { now: () => now });
    for (let round = 0; round < 2; round += 1) {
      for (let guess = 0; guess < 6; guess += 1) assert.equal((await get('/metrics', wrong)).status, 401);
      assert.equal((await get('/metrics', right)).status, 429);
      now += 15 * 60_000;
    }
  });
});

test('the path / of the management port is a page with links for a browser, and JSON for a program', async (t) => {
  const { get } = await mustListen(t, fleetOf(), 'a-token-of-some-length');
  const page = await get('/', { accept: 'text/html,*/*;q=0.8' });
  assert.equal(page.status, 200);
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; script-src 'self'/);
  const links = [...page.text.matchAll(/<a href="([^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual(links, ['/metrics', '/workers', '/alerts', '/readyz', '/livez']);
  assert.match(page.text, /APP_MANAGEMENT_TOKEN/);
  // Under this Content-Security-Policy a browser applies no inline style or script, and loads nothing of another origin.
  assert.doesNotMatch(page.text, /style=|<style|<script>|https?:/);

  const paths = (await get('/')).json;
  assert.deepEqual(Object.values(paths), links);
  assert.equal((await get(paths.live)).status, 200);
  assert.equal((await get(paths.metrics)).status, 401);
});
