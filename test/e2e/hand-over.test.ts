/** Tests of connections that the primary has sent to a worker which is killed before it accepts them. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { type Program, startProgram } from '../helpers/program.ts';
import { freePort } from '../prove/ports.ts';

const maxMs = 2_000;

/** Returns the first line of the answer on a new connection, or "closed". */
function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1');
    socket.write('GET /api/v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
    socket.once('data', (text) => resolve(String(text).split('\r\n')[0] ?? ''));
    socket.on('error', () => {}).once('close', () => resolve('closed'));
  });
}

/** Resolves with the process ids of the workers when two are ready and alive. */
async function bothPids(management: number): Promise<readonly [number, number]> {
  for (;;) {
    const { json } = await request(management, { path: '/workers' });
    const ready = json.filter(({ state }: { state: string }) => state === 'ready');
    const [first, second] = ready.map(({ pid }: { pid: number }) => pid).filter(isRunning);
    if (first !== undefined && second !== undefined) return [first, second];
    await delay(10);
  }
}

function isRunning(pid: number): boolean {
  try {
    // The state of a zombie, which has exited but is not reaped yet, is Z.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Returns the number of open file descriptors of a process. */
function descriptorsOf(pid: number | undefined): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function startTwo(program: Program): Promise<{ site: number; management: number }> {
  for (const worker of [1, 2])
    await program.logged(new RegExp(`"worker":${worker},.*"event":"process.ready"`));
  return {
    site: Number(new URL(await program.ready).port),
    management: Number(new URL(await program.management).port),
  };
}

// With port 0 the program would listen on another port after all workers have exited.
const two = { APP_WORKERS: '2', APP_MANAGEMENT_PORT: '0', SECURITY_RATE_LIMIT_ENABLED: 'false' };

it('a connection sent to a worker that is killed before it accepts it is answered by another worker', async (t) => {
  const program = startProgram(t, { ...two, APP_PORT: String(await freePort()) });
  const { site, management } = await startTwo(program);
  await ask(site);
  const before = descriptorsOf(program.process.pid);
  const [victim] = await bothPids(management);
  process.kill(victim, 'SIGSTOP');
  // Connections are distributed in turn, so every second one goes to the stopped worker.
  const answers = [ask(site), ask(site), ask(site), ask(site)];
  const inTime = await Promise.race([Promise.all(answers), delay(300, 'one waits')]);
  assert.equal(inTime, 'one waits');

  process.kill(victim, 'SIGKILL');
  const late = delay(maxMs, 'late', { ref: false });
  for (const answer of answers) assert.equal(await Promise.race([answer, late]), 'HTTP/1.1 200 OK');
  await program.logged(/"worker":3,.*"event":"process.ready"/);
  await eventually(
    'the primary has closed the connection',
    () => descriptorsOf(program.process.pid) <= before,
  );
});

it('each connection is answered or closed within two seconds while workers are killed under load', async (t) => {
  const program = startProgram(t, { ...two, APP_PORT: String(await freePort()) });
  const { site, management } = await startTwo(program);
  await ask(site);
  const before = descriptorsOf(program.process.pid);
  const answers = new Map<string, number>();
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      const answer = await Promise.race([ask(site), delay(maxMs, 'late', { ref: false })]);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let kill = 0; kill < 3; kill += 1) {
    const pids = await bothPids(management);
    const answered = answers.get('HTTP/1.1 200 OK') ?? 0;
    await eventually('both workers answer', () => (answers.get('HTTP/1.1 200 OK') ?? 0) > answered + 50);
    const victim = kill % 2 === 0 ? pids[0] : pids[1];
    process.kill(victim, 'SIGKILL');
    await eventually('the worker has exited', () => !isRunning(victim));
  }
  isOver = true;
  await Promise.all(clients);
  assert.equal(answers.get('late'), undefined, `${[...answers]}`);
  await bothPids(management);
  await eventually(
    'the primary has closed all connections',
    () => descriptorsOf(program.process.pid) <= before,
  );
});

it('when all workers are killed, their connections are answered or closed within two seconds', async (t) => {
  const program = startProgram(t, { ...two, APP_PORT: String(await freePort()) });
  const { site, management } = await startTwo(program);
  await ask(site);
  const before = descriptorsOf(program.process.pid);
  const victims = await bothPids(management);
  for (const pid of victims) process.kill(pid, 'SIGSTOP');
  const answers = Array.from({ length: 10 }, () => ask(site));
  await delay(100);
  for (const pid of victims) process.kill(pid, 'SIGKILL');
  const ended = await Promise.race([Promise.all(answers), delay(maxMs, undefined, { ref: false })]);
  assert.deepEqual(ended, Array(10).fill('closed'));
  for (const worker of [3, 4])
    await program.logged(new RegExp(`"worker":${worker},.*"event":"process.ready"`));
  assert.equal(await ask(site), 'HTTP/1.1 200 OK');
  await eventually(
    'the primary has closed the connections',
    () => descriptorsOf(program.process.pid) <= before,
  );
});
