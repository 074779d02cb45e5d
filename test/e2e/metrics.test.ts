import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mustStartApp } from '../helpers/test-app.ts';

const served = { SECURITY_ENABLE_PROMETHEUS: 'true' };

/** Returns the number of a line of the text format. */
function lineOf(text: string, series: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length));
}

/** Returns the sum over all series of a name. */
function sumOf(text: string, name: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

describe('the metrics of a server', () => {
  it('every request is counted once, whatever its outcome', async (t) => {
    const { url, api } = await mustStartApp(t, { env: served });
    const kinds: (() => Promise<Response>)[] = [
      () => fetch(`${api}/meta`),
      () => fetch(`${api}/health/live`),
      () => fetch(`${api}/nothing/${Math.random()}`),
      () => fetch(`${api}/users/me`),
      () => fetch(`${api}/meta`, { method: 'DELETE' }),
      () => fetch(`${api}/users`, { method: 'POST', body: '{' }),
      () =>
        fetch(`${api}/auth/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{}',
        }),
    ];
    const { length } = kinds;
    const statuses: number[] = [];
    const first = await (await fetch(`${url}/metrics`)).text();
    assert.equal(sumOf(first, 'http_requests_total'), 0);
    for (let sent = 0; sent < 10 * length; sent += 1) {
      const response = await kinds[sent % length]?.();
      await response?.arrayBuffer();
      statuses.push(response?.status ?? 0);
    }
    assert.ok(new Set(statuses).size >= 5, `${[...new Set(statuses)]}`);

    const scrape = await fetch(`${url}/metrics`);
    const text = await scrape.text();
    assert.equal(scrape.status, 200, text);
    // Includes the previous scrape. This one is not answered yet.
    assert.equal(sumOf(text, 'http_requests_total'), 10 * length + 1);
    assert.equal(sumOf(text, 'http_request_duration_seconds_count'), 10 * length + 1);
    assert.equal(sumOf(text, 'http_response_size_bytes_count'), 10 * length + 1);
    for (const status of new Set(statuses)) {
      const seen = text
        .split('\n')
        .filter((line) => line.startsWith('http_requests_total{') && line.includes(`status="${status}"`))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
      const own = status === 200 ? 1 : 0;
      assert.equal(seen, statuses.filter((each) => each === status).length + own, `status ${status}`);
    }
    assert.equal(lineOf(text, 'http_requests_in_flight'), 1);
    // Probes are not limited.
    assert.equal(
      lineOf(text, 'rate_limit_decisions_total{limit="address",outcome="allowed"}'),
      10 * (length - 1) + 2,
    );
  });

  it('the metrics are in the format of Prometheus, and contain no path that a client has sent', async (t) => {
    const { url, api } = await mustStartApp(t, { env: served });
    for (const path of ['users', 'nothing']) await fetch(`${api}/${path}/secret-name`);
    const scrape = await fetch(`${url}/metrics`);
    const text = await scrape.text();
    assert.equal(scrape.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.ok(!text.includes('secret-name'));
    assert.match(text, /^http_requests_total\{method="GET",route="none",status="404"\} 1$/m);
    for (const name of ['build_info', 'process_resident_memory_bytes', 'nodejs_eventloop_utilization'])
      assert.match(text, new RegExp(`^${name}\\{.*worker="1"\\} [\\d.e-]+$`, 'm'));
    assert.match(text, /^database_pool_connections\{state="used"\} 0$/m);
    for (const line of text.trimEnd().split('\n'))
      assert.match(line, /^(?:# (?:HELP|TYPE) \w+ .+|\w+(?:\{(?:\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/);
  });

  it('without the setting, the public port serves no metrics', async (t) => {
    const { url } = await mustStartApp(t);
    assert.equal((await fetch(`${url}/metrics`)).status, 404);
  });

  it('scrapes of the public port are limited per address like other requests', async (t) => {
    const { url } = await mustStartApp(t, {
      env: { ...served, SECURITY_RATE_LIMIT_PER_MINUTE: '2', SECURITY_RATE_LIMIT_BURST: '0' },
    });
    const statuses = [];
    for (let sent = 0; sent < 3; sent += 1) statuses.push((await fetch(`${url}/metrics`)).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  });
});
