import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../helpers/eventually.ts';
import { exchangeText } from '../helpers/http-server.ts';
import { mustMakeFolder, startProgram } from '../helpers/program.ts';

test('the program prints its address, answers there, and exits with code 0 at SIGTERM', async (t) => {
  const program = startProgram(t, {});
  const url = await program.ready;
  assert.equal((await fetch(`${url}/api/v1/health/live`)).status, 200);
  await eventually('the banner is printed', () => program.stderr().includes('Ctrl+C'));
  assert.match(program.stderr(), new RegExp(`API +${url}/api/v1`));
  assert.match(program.stderr(), new RegExp(`Docs +${url}/docs`));
  program.process.kill('SIGTERM');
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  const events = program
    .stdout()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event);
  assert.equal(events[0], 'application.startup');
  assert.equal(events.at(-1), 'application.shutdown');
});

test('both log lines of a request have the id that the client received', async (t) => {
  const program = startProgram(t, {});
  const response = await fetch(`${await program.ready}/api/v1/meta?token=s3cret&page=1`);
  const id = response.headers.get('x-request-id');
  await program.logged(new RegExp(`"http.request.start"|${id}.*"event":"http.request.complete"`));
  const complete = JSON.parse(
    await program.logged(new RegExp(`"request_id":"${id}".*"event":"http.request.complete"`)),
  );
  const start = JSON.parse(
    await program.logged(new RegExp(`"request_id":"${id}".*"event":"http.request.start"`)),
  );
  assert.equal(start.query, 'token=***REDACTED***&page=1');
  assert.equal(complete.status_code, 200);
  assert.equal(complete.route, '/api/v1/meta');
});

test('a log line names its source file, although the program is built into one file', async (t) => {
  const program = startProgram(t, { APP_LOG_INCLUDE_CALLER: 'true' });
  const line = JSON.parse(await program.logged(/"event":"application.ready"/));
  assert.match(line.caller, /\/src\/[\w/-]+\.ts:\d+$/);
});

const mistakes = [
  {
    name: 'a setting that is wrong',
    env: { APP_PORT: 'eighty', APP_LOG_LEVEL: 'LOUD' },
    flags: [],
    message: /APP_PORT[\s\S]*APP_LOG_LEVEL|APP_LOG_LEVEL[\s\S]*APP_PORT/,
  },
  { name: 'an unknown flag', env: {}, flags: ['--prot', '80'], message: /--port/ },
  {
    name: 'an address that is not of this machine',
    env: { APP_HOST: '192.0.2.1' },
    flags: [],
    message: /APP_HOST/,
  },
  {
    name: 'a database that does not answer',
    env: { APP_DATABASE_URL: 'postgres://strata:hunter2@127.0.0.1:1/strata' },
    flags: [],
    message: /database/i,
  },
];

for (const { name, env, flags, message } of mistakes) {
  test(`${name} fails the start with a sentence and code 1, without a stack`, async (t) => {
    const program = startProgram(t, env, flags);
    assert.equal((await program.ended).code, 1);
    assert.match(program.stderr(), message);
    assert.doesNotMatch(program.stderr(), /\n {4}at |hunter2/);
  });
}

test('a port that is taken fails the start with a sentence that names it, before a database is created', async (t) => {
  const folder = await mustMakeFolder(t);
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  const { port } = address;
  for (const workers of ['1', '2']) {
    const env = { APP_DATABASE_URL: 'embedded', APP_DATA_DIR: folder };
    const program = startProgram(t, env, ['--port', String(port), '--workers', workers]);
    assert.equal((await program.ended).code, 1);
    assert.match(program.stderr(), new RegExp(`^Port ${port} on 127.0.0.1 is taken.* APP_PORT .*\\n$`));
    assert.deepEqual(await readdir(folder), []);
  }
});

test('a request in progress at SIGTERM gets its answer, and new connections are rejected', async (t) => {
  const program = startProgram(t, {});
  const { port } = new URL(await program.ready);
  const body = '{"username":"ada"}';
  const head = `POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const socket = connect(Number(port), '127.0.0.1');
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  socket.write(head + body.slice(0, 5));
  await program.logged(/http.request.start/);
  program.process.kill('SIGTERM');
  await program.logged(/application.draining/);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/api/v1/meta`));
  socket.write(body.slice(5));
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(received, /^HTTP\/1\.1 422 /);
  assert.match(received, /connection: close/i);
  assert.deepEqual(await program.ended, { code: 0, signal: null });
});

test('a second signal exits the program at once, although a request hangs', async (t) => {
  const program = startProgram(t, {});
  const { port } = new URL(await program.ready);
  const hanging = exchangeText(
    Number(port),
    'POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  );
  await program.logged(/http.request.start/);
  program.process.kill('SIGTERM');
  await program.logged(/application.draining/);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 143);
  await hanging;
});

test('two workers share one exact limit, have titles of their own, and are replaced when they are killed', async (t) => {
  const program = startProgram(t, {
    SECURITY_RATE_LIMIT_PER_MINUTE: '20',
    SECURITY_RATE_LIMIT_BURST: '5',
    APP_WORKERS: '2',
  });
  await program.logged(/"event":"application.ready"/);
  const url = await program.ready;
  await program.logged(/"worker":1.*"event":"process.ready"/);
  await program.logged(/"worker":2.*"event":"process.ready"/);
  const { stdout: titles } = await promisify(execFile)('ps', [
    '-o',
    'args=',
    '--ppid',
    String(program.process.pid),
    '--pid',
    String(program.process.pid),
  ]);
  assert.deepEqual(titles.trim().split(/\s*\n/).sort(), [
    'strata primary',
    'strata worker 1',
    'strata worker 2',
  ]);
  const statuses = await Promise.all(
    Array.from({ length: 60 }, () =>
      fetch(`${url}/api/v1/meta`, { headers: { connection: 'close' } }).then((response) => response.status),
    ),
  );
  assert.equal(statuses.filter((status) => status === 200).length, 25);
  assert.equal(statuses.filter((status) => status === 429).length, 35);

  const { pid } = JSON.parse(await program.logged(/"worker":1.*"event":"process.ready"/));
  process.kill(pid, 'SIGKILL');
  await program.logged(/"worker":3.*"event":"process.ready"/);
  assert.equal((await fetch(`${url}/api/v1/meta`)).status, 429);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0);
});
