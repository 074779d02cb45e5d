import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { createLifecycle } from '../../../src/program/lifecycle.ts';
import { assertRedisUsable, openSharedRedis, redisCheck } from '../../../src/program/parts/open-redis.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { startRedis, type TestRedis, withoutRedis } from '../../helpers/redis.ts';
import { sourceArguments } from '../../helpers/source-arguments.ts';

const password = 'hunter2secret';

/** The commands that docs/rate-limit.md lists. */
const documented = [
  ...['+eval', '+evalsha', '+ping', '+time', '+@sortedset', '+@hash', '+set', '+get', '+del', '+pexpire'],
  ...['+pttl', '+publish', '+subscribe'],
];

const settingsOf = (url: string) =>
  loadSettings({ env: { SECURITY_REDIS_ENABLED: 'true', SECURITY_REDIS_URL: url }, envFile: null }).settings;

describe('the check of Redis at the start', { skip: withoutRedis }, () => {
  let server: TestRedis;
  before(async () => {
    server = await startRedis('--requirepass', password);
    for (const [user, ...rights] of [
      ['readonly', '~*', '&*', '+@read', '+@connection', '+info'],
      ['otherkeys', '~other:*', '&*', '+@all'],
      ['full', '~strata:*', '&strata:*', '+@all'],
      ['documented', '~strata:*', '&strata:*', ...documented],
      ...documented.map((right) => [
        `without${right.replace(/\W/g, '')}`,
        ...['~strata:*', '&strata:*', ...documented.filter((each) => each !== right)],
      ]),
    ]) {
      server.command(
        '-a',
        password,
        '--no-auth-warning',
        'ACL',
        'SETUSER',
        `${user}`,
        'on',
        `>${password}`,
        ...rights,
      );
    }
  });
  after(() => server.stop());

  for (const { what, user = '', secret = password, path = '', reason } of [
    { what: 'a wrong password', secret: 'wrong-hunter2', reason: /WRONGPASS/ },
    { what: 'an unknown user', user: 'nobody', reason: /WRONGPASS/ },
    { what: 'no password', secret: '', reason: /NOAUTH/ },
    { what: 'a user that must not write', user: 'readonly', reason: /NOPERM|no permissions/i },
    { what: 'a user of other keys', user: 'otherkeys', reason: /NOPERM|No permissions|can't access/i },
    { what: 'a database number that does not exist', path: '/99', reason: /DB index/ },
  ]) {
    it(`${what} stops the start with one sentence that names the setting and no password`, async () => {
      const credentials = secret === '' ? '' : `${user}:${secret}@`;
      const url = `redis://${credentials}127.0.0.1:${server.port}${path}`;
      const { log, of } = captureLog();
      await assert.rejects(assertRedisUsable(settingsOf(url), log), (error) => {
        assert.ok(error instanceof StartError);
        assert.match(
          error.message,
          /^SECURITY_REDIS_URL names redis:\/\/127\.0\.0\.1:\d+\/\d+, which cannot be used: .*\.$/,
        );
        assert.match(error.message, reason);
        assert.doesNotMatch(error.message, /hunter2|\n/);
        return true;
      });
      assert.deepEqual(of('redis.unavailable'), []);
    });
  }

  it('a user with the rights for the prefix can be used', async () => {
    const { log, of } = captureLog();
    await assertRedisUsable(settingsOf(`redis://full:${password}@127.0.0.1:${server.port}`), log);
    assert.deepEqual(of('redis.unavailable'), []);
  });

  it('the documented rights suffice, and without any of them the start fails', async () => {
    const usable = (user: string) =>
      assertRedisUsable(settingsOf(`redis://${user}:${password}@127.0.0.1:${server.port}`), captureLog().log);
    await usable('documented');
    for (const right of documented) {
      // Only the connection itself needs a ping.
      if (right === '+ping') continue;
      server.command('-a', password, '--no-auth-warning', 'SCRIPT', 'FLUSH');
      await assert.rejects(
        usable(`without${right.replace(/\W/g, '')}`),
        /^StartError: .* cannot be used/,
        right,
      );
    }
  });

  it('a Redis that does not answer stops nothing: it is logged once, and readiness is degraded', async (t) => {
    const settings = settingsOf(`redis://:${password}@127.0.0.1:1`);
    const { log, of, text } = captureLog();
    await assertRedisUsable(settings, log);
    assert.equal(of('redis.unavailable').length, 1);
    const lifecycle = createLifecycle(log);
    t.after(() => lifecycle.closeAll());
    const redis = await openSharedRedis(settings, log, lifecycle);
    const { required, run } = redisCheck(redis);
    const degradation = await run?.();
    assert.equal(required, false);
    assert.match(degradation?.degraded ?? '', /^Redis does not answer: /);
    assert.equal(text().includes(password), false);
  });

  it('a closed port delays the start for at most a few seconds, and a frozen Redis for no longer', async (t) => {
    const frozen = await startRedis();
    t.after(frozen.stop);
    frozen.freeze();
    const { log, of } = captureLog();
    const startedAt = performance.now();
    await assertRedisUsable(settingsOf(frozen.url), log);
    assert.ok(performance.now() - startedAt < 5_000);
    assert.equal(of('redis.unavailable').length, 1);
  });

  it('without SECURITY_REDIS_ENABLED, nothing is opened, and readiness shows the part as disabled', async () => {
    const { settings } = loadSettings({ env: {}, envFile: null });
    const { log } = captureLog();
    await assertRedisUsable(settings, log);
    assert.equal(await openSharedRedis(settings, log, createLifecycle(log)), undefined);
    assert.equal(redisCheck(undefined).run, undefined);
  });

  it('a certificate that no known authority has signed stops the start', async (t) => {
    const { url } = await startTlsRedis(t);
    const { log } = captureLog();
    await assert.rejects(
      assertRedisUsable(settingsOf(url), log),
      /^StartError: SECURITY_REDIS_URL names rediss:.*certificate/,
    );
  });

  it('a certificate of the authority in NODE_EXTRA_CA_CERTS is accepted', async (t) => {
    const { url, authority } = await startTlsRedis(t);
    const code = `
      import { openRedis } from ${JSON.stringify(join(import.meta.dirname, '../../../src/redis/redis.ts'))};
      import { readRedisUrl } from ${JSON.stringify(join(import.meta.dirname, '../../../src/redis/redis-url.ts'))};
      const log = { info() {}, warning(event, { error }) { console.error(error); } };
      const redis = await openRedis({ target: readRedisUrl(process.argv[1]), name: 'test', log });
      while (!redis.isReady()) await new Promise((resolve) => setTimeout(resolve, 5));
      console.log(await redis.send(undefined, ['PING']));
      await redis.close(100);
      process.exit();`;
    const output = execFileSync(
      process.execPath,
      [...sourceArguments(), '--input-type=module', '--eval', code, url],
      { env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: authority }, encoding: 'utf8', timeout: 20_000 },
    );
    assert.equal(output, 'PONG\n');
  });
});

/** Starts a Redis with a certificate for 127.0.0.1 from an authority of its own. */
async function startTlsRedis(t: TestContext): Promise<{ readonly url: string; readonly authority: string }> {
  const folder = await mustMakeFolder(t);
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-subj',
    '/CN=Test authority',
    '-days',
    '2',
  );
  openssl(
    ...[
      'req',
      '-x509',
      ...key,
      '-keyout',
      'redis.key',
      '-out',
      'redis.crt',
      '-subj',
      '/CN=redis',
      '-days',
      '2',
    ],
    ...['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-addext', 'basicConstraints=critical,CA:false'],
  );
  const server = await startRedis(
    ...[
      '--port',
      '0',
      '--tls-port',
      'PORT',
      '--tls-auth-clients',
      'no',
      '--tls-ca-cert-file',
      file('ca.crt'),
    ],
    ...['--tls-cert-file', file('redis.crt'), '--tls-key-file', file('redis.key')],
  );
  t.after(server.stop);
  return { url: `rediss://127.0.0.1:${server.port}`, authority: file('ca.crt') };
}
