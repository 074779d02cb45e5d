import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServerProcess } from '../../bench/server-process.ts';
import type { Variant } from '../../bench/variants.ts';
import { verify } from '../../bench/verify.ts';
import { StartError } from '../../src/errors.ts';

const bare: Variant = { name: 'bare', title: 'Bare', layers: false, database: false };
const options = { pinning: undefined, databaseUrl: undefined, signal: new AbortController().signal };

test('a variant that does its work is not complained about', async () => {
  assert.deepEqual(await verify(bare, options), []);
});

test('a variant that claims layers it does not have is told each one', async () => {
  const faults = await verify({ ...bare, layers: true }, options);
  const expected = [
    /x-request-id is missing/,
    /x-process-time is missing/,
    /content-security-policy is missing/,
    /access-control-allow-origin is missing/,
    /no header says how much of the limit is left/,
    /a bad parameter is answered with 404/,
    /the log has no line for the start of a request/,
    /with a limit of 5 the answers were 200, 200, 200, 200, 200, 200, 200\./,
  ];
  for (const fault of expected)
    assert.ok(
      faults.some((found) => fault.test(found)),
      `${fault} in ${faults}`,
    );
});

test('a server that does not start is reported with what it said', async () => {
  await assert.rejects(
    startServerProcess({ ...bare, name: 'there-is-none' }, options),
    (error) => error instanceof StartError && /Cannot find module/.test(error.message),
  );
});

test('a server that was stopped is gone, and stopping it again does nothing', async () => {
  const server = await startServerProcess(bare, options);
  assert.ok(server.startMs > 0);
  await server.stop();
  await server.stop();
  assert.throws(() => process.kill(server.pid, 0), { code: 'ESRCH' });
});

test('nothing is started when the run was interrupted', async () => {
  const signal = AbortSignal.abort(new StartError('The benchmark was interrupted.'));
  await assert.rejects(startServerProcess(bare, { ...options, signal }), /interrupted/);
});
