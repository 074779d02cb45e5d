/**
 * `npm run prove -- probes`: the management port answers while all workers are blocked, at most 50 ms later than an empty
 * server.
 *
 * The real program runs with two workers. All of them are blocked, first by a busy loop on their event loops, then by
 * SIGSTOP. A request to the public port confirms it, since it is answered only afterwards. Meanwhile 100 requests are sent
 * to each path of the management port, each on a new connection. `/livez` must stay 200, and `/readyz` must change to 503
 * and back.
 *
 * An empty server in a process of its own gets requests in turn with them. On a busy machine that server answers late too,
 * so p50 and p95 of each path are compared with those of the empty server.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { request } from '../helpers/http-client.ts';
import { mustMakeFolder, startProgram } from '../helpers/program.ts';

const workers = 2;
const asked = 100;
const maxMs = 50;
const control = 'an empty server';
const paths = ['/livez', '/readyz', '/metrics', '/workers'];

interface Ports {
  readonly management: number;
  readonly site: number;
  readonly empty: number;
}

const ends: (() => unknown)[] = [];
try {
  const failures = await prove();
  for (const failure of failures) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
} finally {
  for (const end of ends) await end();
}

async function prove(): Promise<string[]> {
  const atEnd = { after: (end: () => unknown) => void ends.unshift(end) };
  const busyUntil = join(await mustMakeFolder(atEnd), 'enough');
  const program = startProgram(atEnd, {
    APP_WORKERS: String(workers),
    APP_MANAGEMENT_PORT: '0',
    NODE_OPTIONS: `--import ${join(import.meta.dirname, 'busy-on-signal.mjs')}`,
    BUSY_UNTIL: busyUntil,
    APP_WORKER_TIMEOUT_SECONDS: '300',
    // After a blockade Node.js checks its deadlines before it reads what has arrived meanwhile.
    APP_HEADERS_TIMEOUT_SECONDS: '300',
  });
  const ports = {
    site: Number(new URL(await program.ready).port),
    management: Number(new URL(await program.management).port),
    empty: await startEmptyServer(),
  };
  await waitForReadiness(ports, 200);
  const signal = (name: NodeJS.Signals) => (pids: readonly number[]) => {
    for (const pid of pids) process.kill(pid, name);
  };
  return [
    ...(await measure('no worker is blocked', ports)),
    ...(await whileBlocked('every worker is in a busy loop', ports, signal('SIGUSR2'), () =>
      writeFile(busyUntil, ''),
    )),
    ...(await whileBlocked('every worker is stopped', ports, signal('SIGSTOP'), signal('SIGCONT'))),
  ];
}

async function startEmptyServer(): Promise<number> {
  const program = `
    const server = require('node:http').createServer((request, response) => response.end());
    server.listen(0, '127.0.0.1', () => process.send(server.address().port));`;
  const child = spawn(process.execPath, ['--eval', program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  ends.unshift(() => child.kill());
  const [port] = await once(child, 'message');
  return z.int().parse(port);
}

/** Measures between `block` and `unblock`. Returns the failures. */
async function whileBlocked(
  what: string,
  ports: Ports,
  block: (pids: readonly number[]) => unknown,
  unblock: (pids: readonly number[]) => unknown,
): Promise<string[]> {
  const pids = await pidsOf(ports);
  block(pids);
  let answered = false;
  const waiting = request(ports.site, { path: '/api/v1/meta' }).then(({ status }) => {
    answered = true;
    return status;
  });
  try {
    const failures = await measure(what, ports);
    const seconds = await waitForReadiness(ports, 503);
    if (answered)
      failures.push(`${what}: a request was answered meanwhile, so the workers were not blocked.`);
    else
      console.log(`No request was answered meanwhile; /readyz was 503 after ${seconds.toFixed(1)} s more.`);
    return failures;
  } finally {
    await unblock(pids);
    assert.equal(await waiting, 200);
    await waitForReadiness(ports, 200);
    assert.deepEqual(await pidsOf(ports), pids, 'The same workers are ready again.');
    console.log('The workers continued: the request was answered with 200, and /readyz is 200 again.');
  }
}

/** Sends requests to every path in turn, and prints their times. Returns the failures. */
async function measure(what: string, { management, empty }: Ports): Promise<string[]> {
  const asks = [
    ...paths.map((path) => ({ name: path, path, port: management })),
    { name: control, path: '/', port: empty },
  ].map((ask) => ({ ...ask, times: [] as number[], statuses: new Set<number>() }));
  for (let round = 0; round < asked; round += 1) {
    for (const { path, port, times, statuses } of asks) {
      const startedAt = performance.now();
      statuses.add((await request(port, { path })).status);
      times.push(performance.now() - startedAt);
    }
  }

  const rows = asks.map(({ name, times, statuses }) => {
    times.sort((a, b) => a - b);
    const quantile = (share: number) => Math.round((times[Math.ceil(share * asked) - 1] ?? NaN) * 10) / 10;
    return {
      path: name,
      asked,
      p50: quantile(0.5),
      p95: quantile(0.95),
      max: quantile(1),
      statuses: [...statuses].join(' '),
    };
  });
  console.log(`\n${what} (times in ms, at most ${maxMs} more than ${control})`);
  console.table(rows);
  const wrong = rows.filter(({ path, statuses }) => path !== '/readyz' && statuses !== '200');
  const emptyServer = rows.find(({ path }) => path === control) ?? { p50: 0, p95: 0 };
  const slow = rows.filter(
    ({ p50, p95 }) => !(p50 <= emptyServer.p50 + maxMs && p95 <= emptyServer.p95 + maxMs),
  );
  return [
    ...wrong.map(({ path, statuses }) => `${what}: ${path} answered ${statuses}.`),
    ...slow.map(({ path, p50, p95 }) => `${what}: ${path} took ${p50} ms (p50), ${p95} ms (p95).`),
  ];
}

/** Waits until `/readyz` has this status, and resolves with the number of seconds. */
async function waitForReadiness({ management }: Ports, status: number): Promise<number> {
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  while ((await request(management, { path: '/readyz' })).status !== status) {
    assert.ok(seconds() < 20, `/readyz did not change to ${status} within 20 s.`);
    await delay(50);
  }
  return seconds();
}

async function pidsOf({ management }: Ports): Promise<number[]> {
  const { json } = await request(management, { path: '/workers' });
  return z
    .array(z.object({ pid: z.int() }))
    .parse(json)
    .map(({ pid }) => pid);
}
