import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { commandOf, type Program, startProgram } from '../helpers/program.ts';

/** Runs the health check with this environment. */
async function check(env: Record<string, string>, ...argv: string[]) {
  const child = spawn(process.execPath, [...commandOf('cli/health'), ...argv], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { status, stderr };
}

const portOf = async (url: Promise<string>) => new URL(await url).port;
const pidOf = ({ process: { pid } }: Program) => `--pid=${pid}`;

describe('the health check of the image', { skip: process.platform !== 'linux' && 'it reads /proc' }, () => {
  test('a program that listens on the configured ports is healthy, and one that has stopped is not', async (t) => {
    const program = startProgram(t, { APP_MANAGEMENT_PORT: '0', APP_MANAGEMENT_HOST: '::1' });
    const env = {
      APP_MANAGEMENT_PORT: await portOf(program.management),
      APP_MANAGEMENT_HOST: '::1',
      // A secret that has changed since the start does not make the program unhealthy.
      SECURITY_JWT_SECRET_FILE: '/missing',
    };
    const off = { APP_PORT: await portOf(program.ready), APP_MANAGEMENT_PORT: 'off', APP_HOST: '0.0.0.0' };
    const free = { APP_MANAGEMENT_PORT: '0' };
    const healthy = { status: 0, stderr: '' };
    assert.deepEqual(
      await Promise.all([
        check(env),
        check(env, '--ready'),
        check({ ...free, APP_MANAGEMENT_HOST: '::1' }, pidOf(program)),
        check(off),
        check(off, '--ready'),
        check({ ...off, APP_PORT: '0' }, pidOf(program)),
      ]),
      [healthy, healthy, healthy, healthy, healthy, healthy],
    );
    program.process.kill('SIGTERM');
    await program.ended;
    for (const { status, stderr } of await Promise.all([
      check(env),
      check(off),
      check(free, pidOf(program)),
    ])) {
      assert.equal(status, 1);
      assert.match(stderr, /^(http:.* does not answer: .*|No process listens\.)\n$/);
    }
  });

  test('a port that browsers refuse is asked like any other', async () => {
    const { stderr } = await check({ APP_MANAGEMENT_PORT: '6000', APP_MANAGEMENT_HOST: '127.9.8.7' });
    assert.match(stderr, /^http:\/\/127\.9\.8\.7:6000\/livez does not answer: .*ECONNREFUSED/);
  });

  test('auto means the port 9181 in production', async () => {
    const env = {
      APP_ENVIRONMENT: 'production',
      APP_MANAGEMENT_PORT: 'auto',
      APP_MANAGEMENT_HOST: '127.9.8.7',
    };
    const { status, stderr } = await check(env);
    assert.equal(status, 1);
    assert.match(stderr, /^http:\/\/127\.9\.8\.7:9181\/livez does not answer: .*ECONNREFUSED/);
  });

  test('a program that is alive but not ready is healthy, and with --ready it is not', async (t) => {
    // Nothing listens on port 9.
    const env = { APP_MANAGEMENT_PORT: '0', APP_DATABASE_URL: 'postgres://ada:ada@127.0.0.1:9/ada' };
    const program = startProgram(t, { ...env, APP_DATABASE_MIGRATE: 'false' });
    const off = { APP_PORT: await portOf(program.ready), APP_MANAGEMENT_PORT: 'off' };
    const [alive, ready] = await Promise.all([check(off), check(off, '--ready')]);
    assert.equal(alive.status, 0);
    assert.equal(ready.status, 1);
    assert.match(ready.stderr, /\/api\/v1\/health\/ready answers 503: /);
  });
});
