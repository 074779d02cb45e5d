import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { runOpenLoop } from '../../bench/open-loop.ts';

const scenario = { method: 'GET', path: '/', headers: {}, status: 200 } as const;
const { signal } = new AbortController();

test('a stall is in the latencies of all requests that were due in it, though few were on their way', async (t) => {
  const stallMs = 500;
  const connections = 2;
  let arrived = 0;
  let inFlight = 0;
  let most = 0;
  let stalled: Promise<void> | undefined;
  const url = await serve(t, async (_request, response) => {
    arrived += 1;
    inFlight += 1;
    most = Math.max(most, inFlight);
    if (arrived === 50) stalled = new Promise((resolve) => setTimeout(resolve, stallMs));
    await stalled;
    inFlight -= 1;
    response.end();
  });

  const options = { url, scenario, signal, connections, rate: 200, seconds: 2 };
  const { requests, failures, p99Ms, p999Ms } = await runOpenLoop(options);
  assert.deepEqual([requests, failures], [400, 0]);
  assert.equal(most, connections);
  // Two of 400 met the stall, which is less than one in a hundred; but 100 were due in it.
  assert.ok(p99Ms > stallMs * 0.9, `p99 is ${p99Ms} ms`);
  assert.ok(p999Ms >= p99Ms);
});

test('what holds the sender up is counted too: a request is late from when it was due', async (t) => {
  const blockedMs = 300;
  let arrived = 0;
  const url = await serve(t, (_request, response) => {
    arrived += 1;
    // The server shares this process with the sender, and no request is sent in this time.
    const until = performance.now() + (arrived === 20 ? blockedMs : 0);
    while (performance.now() < until);
    response.end();
  });
  const { requests, p99Ms } = await runOpenLoop({ url, scenario, signal, rate: 200, seconds: 1 });
  assert.equal(requests, 200);
  assert.ok(p99Ms > blockedMs * 0.9, `p99 is ${p99Ms} ms`);
});

test('a server that cannot keep up with the rate is asked all the same, and the delay grows', async (t) => {
  let busy = Promise.resolve();
  const url = await serve(t, (_request, response) => {
    busy = busy.then(() => new Promise((resolve) => setTimeout(resolve, 10))).then(() => void response.end());
  });
  const { requests, p50Ms, p99Ms } = await runOpenLoop({ url, scenario, signal, rate: 200, seconds: 0.5 });
  assert.equal(requests, 100);
  // It does at most 100 a second, so the last one is due after half a second and done after a whole one.
  assert.ok(p99Ms > 400, `p99 is ${p99Ms} ms`);
  assert.ok(p50Ms > 150, `p50 is ${p50Ms} ms`);
});

test('each request that is due is counted as one latency or one failure', async (t) => {
  let arrived = 0;
  let fates: readonly string[] = [];
  const url = await serve(t, (_request, response) => {
    const fate = fates[arrived % fates.length];
    arrived += 1;
    if (fate === 'broken') response.destroy();
    else if (fate === 'cut off')
      response.writeHead(200, { 'content-length': 9 }).write('1', () => response.destroy());
    else response.writeHead(fate === 'right' ? 200 : 500).end();
  });
  const someFates = fc.array(fc.constantFrom('right', 'wrong', 'broken', 'cut off'), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(someFates, async (drawn) => {
      fates = drawn;
      arrived = 0;
      const { requests, failures } = await runOpenLoop({ url, scenario, signal, rate: 600, seconds: 0.1 });
      const right = Array.from({ length: 60 }, (_, index) => drawn[index % drawn.length]).filter(
        (fate) => fate === 'right',
      );
      assert.equal(arrived, 60);
      assert.deepEqual([requests, failures], [right.length, 60 - right.length]);
    }),
    { numRuns: 8 },
  );
});

test('between two requests the sender leaves the processor to others', async (t) => {
  const url = await serve(t, (_request, response) => void response.end());
  const startedAt = performance.now();
  const before = process.cpuUsage();
  const { requests } = await runOpenLoop({ url, scenario, signal, rate: 500, seconds: 2 });
  const { user, system } = process.cpuUsage(before);
  assert.equal(requests, 1000);
  const busyMs = (user + system) / 1000;
  const elapsedMs = performance.now() - startedAt;
  assert.ok(busyMs < elapsedMs * 0.6, `${busyMs} of ${elapsedMs} ms of processor time`);
});

test('the method, the headers and the body are the scenario’s', async (t) => {
  const seen: string[] = [];
  const url = await serve(t, async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    seen.push(`${request.method} ${request.url} ${request.headers['content-type']} ${body}`);
    response.writeHead(201).end();
  });
  const post = {
    method: 'POST',
    path: '/people',
    body: '{"name":"Zoë"}',
    status: 201,
    headers: { 'content-type': 'application/json' },
  } as const;
  const { requests } = await runOpenLoop({ url, scenario: post, signal, rate: 100, seconds: 0.02 });
  assert.equal(requests, 2);
  assert.deepEqual(new Set(seen), new Set(['POST /people application/json {"name":"Zoë"}']));
});

test('a server that never responds does not block the run: its requests count as failed', async (t) => {
  const url = await serve(t, () => {});
  const options = { url, scenario, signal, rate: 100, seconds: 0.05, timeoutMs: 100 };
  const { requests, failures } = await runOpenLoop(options);
  assert.deepEqual([requests, failures], [0, 5]);
});

test('an interrupted run stops at once, with the reason of the interruption', async (t) => {
  const abort = new AbortController();
  const url = await serve(t, () => abort.abort(new Error('That is enough.')));
  await assert.rejects(
    runOpenLoop({ url, scenario, signal: abort.signal, rate: 10, seconds: 60 }),
    /That is enough/,
  );
});

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}
