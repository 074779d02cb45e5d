import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findScenario, scenarios } from '../../bench/scenarios.ts';
import { startServerProcess } from '../../bench/server-process.ts';
import { canDo, needsDatabase, type Variant, variants } from '../../bench/variants.ts';
import { verify } from '../../bench/verify.ts';
import { StartError } from '../../src/errors.ts';

const bare = find('bare');
const options = { pinning: undefined, databaseUrl: undefined, signal: new AbortController().signal };
const plain = findScenario('plain');

test('a variant that does its work is not complained about', async () => {
  const questions = scenarios.filter(
    (scenario) => canDo(bare, scenario) && !needsDatabase({ variant: bare, scenario }),
  );
  assert.deepEqual(await verify(bare, questions, options), []);
});

test('another status, other bytes and another type are named, each with the question', async () => {
  const errors = await verify(
    bare,
    [
      { ...plain, status: 204 },
      { ...plain, responseBody: '{"message":"Hello"}' },
      { ...findScenario('missing'), responseBody: '{}' },
    ],
    options,
  );
  for (const error of [
    /^bare: "plain" is answered with 200\.$/,
    /^bare: "plain" is answered with the body \{"message":"Hello, world"\}$/,
    /^bare: the answer to "missing" is not called JSON\.$/,
  ]) {
    assertIncludes(errors, error);
  }
});

test('a variant that claims layers it does not have fails with the name of each', async () => {
  const questions = [plain, findScenario('missing'), findScenario('create')];
  const errors = await verify({ ...bare, layers: true }, questions, options);
  for (const error of [
    /to "person", the header x-request-id is missing/,
    /to "person", the header x-process-time is missing/,
    /to "person", the header content-security-policy is missing/,
    /to "missing", the header access-control-allow-origin is missing/,
    /to "person", no header has the rest of the limit/,
    /a parameter that is no number is answered with 404/,
    /a body without the address is answered with 201/,
    // It does not expect it, and dies of it.
    /a body that is no JSON is not answered/,
    /the log has no line for the start of a request/,
    /request 6 under a limit of 5 is answered with 200\./,
    /request 7 under a limit of 5 is answered with 200\./,
  ]) {
    assertIncludes(errors, error);
  }
  assert.ok(!errors.some((error) => /request 5 under a limit/.test(error) && /answered with/.test(error)));
});

test('a server that does not start is reported with its output', async () => {
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

test('each variant of the list has its folder with a server, and can be asked the principal question', () => {
  for (const { name, runtime, scenarios: own } of variants) {
    const file = join('bench', 'variants', name, runtime === 'python' ? 'app.py' : 'server.mjs');
    assert.ok(existsSync(file), file);
    assert.ok(own.includes('person'), name);
  }
});

test('only those who look something up are given a database', () => {
  const needs = (name: string, scenario: 'person' | 'bearer' | 'row') =>
    needsDatabase({ variant: find(name), scenario: findScenario(scenario) });
  assert.deepEqual([needs('strata', 'person'), needs('strata', 'bearer')], [false, true]);
  assert.deepEqual([needs('express', 'bearer'), needs('express', 'row')], [false, true]);
});

function find(name: string): Variant {
  const variant = variants.find((each) => each.name === name);
  assert.ok(variant, name);
  return variant;
}

function assertIncludes(errors: readonly string[], error: RegExp): void {
  assert.ok(
    errors.some((found) => error.test(found)),
    `${error} in\n${errors.join('\n')}`,
  );
}
