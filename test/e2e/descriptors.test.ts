/** The real program with few file descriptors, while clients open more connections than that. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from '../helpers/http-client.ts';
import { mustMakeFolder, type Program, startLimitedProgram } from '../helpers/program.ts';

const files = 256;

async function mustStart(t: TestContext, env: Readonly<Record<string, string>>) {
  const program = startLimitedProgram(t, files, { APP_MANAGEMENT_PORT: '0', ...env });
  return {
    program,
    site: Number(new URL(await program.ready).port),
    management: Number(new URL(await program.management).port),
  };
}

/** Opens connections that send nothing. */
async function openSilent(t: TestContext, port: number, localAddress: string, number: number) {
  const sockets = Array.from({ length: number }, () =>
    connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {}),
  );
  t.after(() => closeAll(sockets));
  await Promise.all(sockets.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])));
  return sockets;
}

function closeAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

/** The status of a request from an address of the loopback network, or the code of the error. */
function askFrom(localAddress: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', localAddress, path: '/api/v1/meta', agent: false };
    httpRequest(options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end();
  });
}

async function askTimes(times: number, address: string, port: number): Promise<(number | string)[]> {
  const answers: (number | string)[] = [];
  for (let count = 0; count < times; count += 1) answers.push(await askFrom(address, port));
  return answers;
}

/** Asks until the answer is 200. */
async function mustRecover(address: string, port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while ((await askFrom(address, port)) !== 200) {
    assert.ok(performance.now() < deadline, 'no request was answered within 10 s');
    await delay(20);
  }
}

async function probe(management: number): Promise<number[]> {
  const statuses: number[] = [];
  for (const path of ['/livez', '/readyz', '/metrics', '/workers']) {
    statuses.push((await request(management, { path })).status);
  }
  return statuses;
}

for (const workers of ['1', '2']) {
  describe(`a program with ${workers} worker(s) and ${files} file descriptors`, () => {
    it('answers other clients and probes while two addresses open 600 silent connections, and after', async (t) => {
      const { program, site, management } = await mustStart(t, { APP_WORKERS: workers });
      assert.match(program.stdout(), /APP_MAX_CONNECTIONS is 10000, but the system allows 256 open files/);

      const silent = [
        ...(await openSilent(t, site, '127.0.0.2', 300)),
        ...(await openSilent(t, site, '127.0.0.3', 300)),
      ];
      // While the 600 are being handed to the workers, a further connection can be one too many.
      await mustRecover('127.0.0.4', site);
      assert.deepEqual(await askTimes(20, '127.0.0.4', site), Array(20).fill(200));
      assert.deepEqual(await probe(management), [200, 200, 200, 200]);
      await program.logged(/"reason":"address".*"event":"http.connection.refused"/);

      closeAll(silent);
      await mustRecover('127.0.0.2', site);
      assert.deepEqual(await probe(management), [200, 200, 200, 200]);
      assert.deepEqual([program.process.exitCode, program.process.signalCode], [null, null]);
    });
  });
}

describe('a program whose workers are all blocked', () => {
  it('answers probes while more connections come than it has file descriptors', async (t) => {
    const { program, site, management } = await mustStart(t, {
      APP_WORKERS: '2',
      APP_WORKER_TIMEOUT_SECONDS: '300',
    });
    for (const worker of [1, 2])
      await program.logged(new RegExp(`"worker":${worker},.*"event":"process.ready"`));
    const pids = await workerPids(management);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      const silent = await openSilent(t, site, '127.0.0.2', 400);
      await program.logged(/"logger":"primary".*"reason":"full".*"event":"http.connection.refused"/);
      for (let count = 0; count < 10; count += 1) {
        assert.equal((await request(management, { path: '/livez' })).status, 200);
        assert.equal((await request(management, { path: '/workers' })).status, 200);
      }
      closeAll(silent);
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    await mustRecover('127.0.0.3', site);
  });
});

describe('a program without a file descriptor left', () => {
  it('a program without free file descriptors keeps running in each of its processes, and replaces a worker that died meanwhile', async (t) => {
    const until = join(await mustMakeFolder(t), 'enough');
    const { program, site, management } = await mustStart(t, {
      APP_WORKERS: '2',
      NODE_OPTIONS: `--import ${join(import.meta.dirname, '../helpers/exhaust-descriptors.mjs')}`,
      EXHAUST_UNTIL: until,
    });
    for (const worker of [1, 2])
      await program.logged(new RegExp(`"worker":${worker},.*"event":"process.ready"`));
    const primary = program.process.pid;
    assert.ok(primary !== undefined);
    const pids = [primary, ...(await workerPids(management))];
    for (const pid of pids) process.kill(pid, 'SIGUSR2');
    for (const pid of pids) await complained(program, `${pid} has no descriptor left`);

    // Each process reads its memory every second.
    await delay(1_500);
    const [, victim] = pids;
    assert.ok(victim !== undefined);
    process.kill(victim, 'SIGKILL');
    await program.logged(/"signal":"SIGKILL".*"event":"process.exited"/);
    await writeFile(until, '');
    await mustRecover('127.0.0.1', site);
    await program.logged(/"worker":3,.*"event":"process.ready"/);

    const now = await workerPids(management);
    assert.equal(now.length, 2);
    assert.equal(now.filter((pid) => pids.includes(pid)).length, 1, 'only the killed worker was replaced');
  });
});

async function workerPids(management: number): Promise<number[]> {
  const { json } = await request(management, { path: '/workers' });
  return json.map(({ pid }: { pid: number }) => pid);
}

async function complained(program: Program, text: string): Promise<void> {
  while (!program.stderr().includes(text)) await delay(10);
}
