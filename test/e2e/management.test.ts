import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { startProgram } from '../helpers/program.ts';

const open = { APP_MANAGEMENT_PORT: '0' };
const portOf = (url: string) => Number(new URL(url).port);

for (const workers of ['1', '2']) {
  test(`with ${workers} workers the management port has probes, metrics and a report of each worker`, async (t) => {
    const program = startProgram(t, { ...open, APP_WORKERS: workers });
    const url = await program.ready;
    const port = portOf(await program.management);
    // The greeting is printed when all workers are ready.
    const greeting = new RegExp(`Management +http://127.0.0.1:${port} `);
    await eventually('a greeting that names the port', () => greeting.test(program.stderr()));

    assert.equal((await request(port, { path: '/livez' })).status, 200);
    const ready = await request(port, { path: '/readyz' });
    assert.deepEqual([ready.status, ready.json.status], [200, 'pass']);

    const reports = (await request(port, { path: '/workers' })).json;
    assert.equal(reports.length, Number(workers));
    for (const { pid, state } of reports) {
      assert.equal(state, 'ready');
      assert.equal(pid === program.process.pid, workers === '1');
    }

    assert.equal((await fetch(`${url}/api/v1/meta`)).status, 200);
    let metrics = '';
    // A busy worker may miss a collection.
    await eventually('the request is counted', async () => {
      metrics = (await request(port, { path: '/metrics' })).text;
      return /^http_requests_total\{method="GET",route="\/api\/v1\/meta",status="200"\} 1$/m.test(metrics);
    });
    // Requests to the management port are not counted.
    assert.doesNotMatch(metrics, /readyz|livez/);
  });
}

test('while the program drains, it is alive and not ready; afterwards its port is free', async (t) => {
  const program = startProgram(t, { ...open, APP_WORKERS: '2' });
  const site = portOf(await program.ready);
  const port = portOf(await program.management);
  const socket = connect(site, '127.0.0.1');
  socket.resume();
  socket.write(
    'POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{',
  );
  await program.logged(/http.request.start/);
  program.process.kill('SIGTERM');
  await program.logged(/application.draining/);
  assert.equal((await request(port, { path: '/livez' })).status, 200);
  assert.equal((await request(port, { path: '/readyz' })).status, 503);
  socket.write('}');
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  await assert.rejects(request(port, { path: '/livez' }));
});

test('a management port that is taken fails the start with a sentence that names it', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  for (const workers of ['1', '2']) {
    const program = startProgram(t, { APP_MANAGEMENT_PORT: String(address.port), APP_WORKERS: workers });
    assert.equal((await program.ended).code, 1);
    assert.match(
      program.stderr(),
      new RegExp(`^Port ${address.port} on 127.0.0.1 is taken.*APP_MANAGEMENT_PORT`),
    );
  }
});

test('with a configured token, metrics require it and probes do not', async (t) => {
  const program = startProgram(t, { ...open, APP_MANAGEMENT_TOKEN: 'kP3vQ8xZ1mWc7RtY2bNs' });
  await program.ready;
  const port = portOf(await program.management);
  assert.equal((await request(port, { path: '/livez' })).status, 200);
  assert.equal((await request(port, { path: '/metrics' })).status, 401);
  const headers = { authorization: 'Bearer kP3vQ8xZ1mWc7RtY2bNs' };
  assert.equal((await request(port, { path: '/metrics', headers })).status, 200);
  assert.doesNotMatch(program.stdout(), /c3VwZXI/);
});
