import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { exchangeText } from '../helpers/http-server.ts';
import { type Program, startProgram } from '../helpers/program.ts';

interface WorkerRow {
  readonly id: number;
  readonly pid: number;
  readonly state: string;
  readonly requests: number;
}

async function workersOf(program: Program): Promise<WorkerRow[]> {
  const { json } = await request(Number(new URL(await program.management).port), { path: '/workers' });
  return json;
}

/** Returns the value of a counter, summed over its series. */
async function counted(program: Program, name: string): Promise<number> {
  const text = await (await fetch(`${await program.management}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Sends a request on a new connection, so that the workers take turns. */
async function ask(url: string): Promise<number> {
  return (await fetch(`${url}/api/v1/meta`, { headers: { connection: 'close' } })).status;
}

const two = { APP_WORKERS: '2', APP_MANAGEMENT_PORT: '0' };

async function startTwo(program: Program): Promise<string> {
  await program.logged(/"worker":1.*"event":"process.ready"/);
  await program.logged(/"worker":2.*"event":"process.ready"/);
  await eventually('the program handles signals', () => program.stderr().includes('Ctrl+C'));
  return program.ready;
}

/** These tests share one program, since the start of three processes takes longer than the rest. */
describe('a program with two workers', () => {
  const cleanups: (() => unknown)[] = [];
  let program: Program;
  let url = '';

  before(async () => {
    const t = { after: (cleanup: () => unknown) => void cleanups.unshift(cleanup) };
    program = startProgram(t, { ...two, SECURITY_RATE_LIMIT_ENABLED: 'false' });
    url = await startTwo(program);
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });

  test('connections are distributed evenly, and the reports show the load of each worker', async () => {
    for (let sent = 0; sent < 20; sent += 1) await ask(url);
    await eventually('all requests are reported', async () => {
      const rows = await workersOf(program);
      return rows.reduce((sum, { requests }) => sum + requests, 0) === 20;
    });
    for (const { requests } of await workersOf(program)) assert.ok(requests >= 5, `${requests} of 20`);
  });

  test('a killed worker is replaced, and its counts are kept in the sums', async () => {
    const earlier = await counted(program, 'http_requests_total');
    for (let sent = 0; sent < 20; sent += 1) assert.equal(await ask(url), 200);
    await eventually(
      'all requests are counted',
      async () => (await counted(program, 'http_requests_total')) === earlier + 20,
    );
    const [first] = await workersOf(program);
    assert.ok(first !== undefined);
    process.kill(first.pid, 'SIGKILL');
    await program.logged(/"signal":"SIGKILL","reason":"crashed","event":"process.exited"/);
    await program.logged(/"worker":3.*"event":"process.ready"/);
    assert.equal(await counted(program, 'http_requests_total'), earlier + 20);
    assert.equal(await counted(program, 'worker_restarts_total'), 1);
    assert.equal(await ask(url), 200);
    await eventually(
      'both workers continue to count',
      async () => (await counted(program, 'http_requests_total')) === earlier + 21,
    );
  });

  test('SIGTTIN adds a worker and SIGTTOU removes one, down to one', async () => {
    const before = (await workersOf(program)).map(({ id }) => id);
    const [, last = 0] = before;
    program.forget();
    program.process.kill('SIGTTIN');
    await program.logged(new RegExp(`"worker":${last + 1}.*"event":"process.ready"`));
    for (const id of before) {
      program.process.kill('SIGTTOU');
      await program.logged(new RegExp(`"worker":${id},.*"reason":"removed","event":"process.exited"`));
    }
    program.process.kill('SIGTTOU');
    const resizedTo1 = () => program.stdout().match(/"workers":1,"event":"fleet.resized"/g)?.length;
    await eventually('the program has received the signal', () => resizedTo1() === 2);
    program.process.kill('SIGTTIN');
    await program.logged(new RegExp(`"worker":${last + 2}.*"event":"process.ready"`));
    assert.deepEqual(
      (await workersOf(program)).map(({ id, state }) => [id, state]),
      [
        [last + 1, 'ready'],
        [last + 2, 'ready'],
      ],
    );
    assert.equal(await ask(url), 200);
  });

  test('a second signal kills the workers too, at once', async () => {
    const rows = await workersOf(program);
    program.forget();
    const hanging = exchangeText(
      Number(new URL(url).port),
      'POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    );
    await program.logged(/http.request.start/);
    program.process.kill('SIGTERM');
    await program.logged(/application.draining/);
    program.process.kill('SIGTERM');
    assert.equal((await program.ended).code, 143);
    await eventually('no worker is left', () => rows.every(({ pid }) => !isRunning(pid)));
    await hanging;
  });
});

test('a worker whose event loop is blocked is killed and replaced', async (t) => {
  const program = startProgram(t, { ...two, APP_WORKER_TIMEOUT: '3' });
  const url = await startTwo(program);
  const [first] = await workersOf(program);
  assert.ok(first !== undefined);
  process.kill(first.pid, 'SIGSTOP');
  await program.logged(/"worker":1,.*"event":"process.silent"/);
  await program.logged(/"worker":1,.*"reason":"silent","event":"process.exited"/);
  await program.logged(/"worker":3,.*"event":"process.ready"/);
  assert.equal(await ask(url), 200);
});

test('a worker that has reached its maximum of requests is replaced, and no request is lost', async (t) => {
  const program = startProgram(t, { ...two, APP_WORKER_MAX_REQUESTS: '5' });
  const url = await startTwo(program);
  let isOver = false;
  const load = (async () => {
    const statuses = new Set<number>();
    while (!isOver) statuses.add(await ask(url));
    return statuses;
  })();
  await program.logged(/"worker":1,.*"reason":"requests".*"event":"process.recycled"/);
  await program.logged(/"worker":2,.*"reason":"requests".*"event":"process.recycled"/);
  isOver = true;
  assert.deepEqual(
    [...(await load)].filter((status) => status !== 200 && status !== 429),
    [],
  );
});

test('when their primary is killed, workers answer requests in progress and exit, and the port is free', async (t) => {
  const program = startProgram(t, two);
  const url = await startTwo(program);
  const { port } = new URL(url);
  const rows = await workersOf(program);
  const body = '{"username":"ada"}';
  const head = `POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const socket = connect(Number(port), '127.0.0.1');
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  socket.write(head + body.slice(0, 5));
  await program.logged(/http.request.start/);
  program.process.kill('SIGKILL');
  await program.logged(/application.draining/).catch(() => undefined);
  socket.write(body.slice(5));
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(received, /^HTTP\/1\.1 422 /);
  await eventually('no worker is left', () => rows.every(({ pid }) => !isRunning(pid)));
  await assert.rejects(fetch(`${url}/api/v1/meta`));
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a single process logs that it cannot reload or resize, and keeps running', async (t) => {
  const program = startProgram(t, { APP_MANAGEMENT_PORT: '0' });
  const url = await program.ready;
  await eventually('the program is ready', () => program.stderr().includes('Ctrl+C'));
  program.process.kill('SIGHUP');
  await program.logged(/SIGHUP does nothing with one process.*"event":"config.warning"/);
  program.process.kill('SIGTTIN');
  await program.logged(/SIGTTIN and SIGTTOU do nothing with one process.*"event":"config.warning"/);
  assert.equal(await ask(url), 200);
  const [row, ...others] = await workersOf(program);
  assert.deepEqual([row?.state, row?.pid, others.length], ['ready', program.process.pid, 0]);
});

for (const [flag, message] of [
  ['0', /APP_WORKERS is "0" on the command line, but must be an integer from 1 to 256, or auto/],
  ['1000', /APP_WORKERS is "1000" on the command line, but must be an integer from 1 to 256, or auto/],
] as const) {
  test(`--workers ${flag} is rejected with a sentence`, async (t) => {
    const program = startProgram(t, {}, ['--workers', flag]);
    assert.equal((await program.ended).code, 1);
    assert.match(program.stderr(), message);
  });
}
