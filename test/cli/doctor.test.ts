import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createSecureContext, createServer as createTlsServer, TLSSocket } from 'node:tls';
import {
  type CertificateSource,
  certificateSources,
  checkCertificate,
} from '../../src/cli/doctor/check-certificates.ts';
import { checkDatabaseOf } from '../../src/cli/doctor/check-database.ts';
import { checkMemory, checkNode, checkTimeZones } from '../../src/cli/doctor/check-machine.ts';
import { checkForwarding, checkProxy } from '../../src/cli/doctor/check-proxy.ts';
import { checkRedisOf } from '../../src/cli/doctor/check-redis.ts';
import { checkSettings } from '../../src/cli/doctor/check-settings.ts';
import type { Finding } from '../../src/cli/doctor/finding.ts';
import { loadSettings, type Settings } from '../../src/settings/load.ts';
import { commandOf, mustMakeFolder, startProgram } from '../helpers/program.ts';
import { startRedis, withoutRedis } from '../helpers/redis.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const today = '2026-11-30';

function settingsOf(env: Readonly<Record<string, string>>): Settings {
  return loadSettings({ env, envFile: null }).settings;
}

/** Returns the findings that need attention, as `severity text`. */
function problemsOf(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ severity }) => severity !== 'fine')
    .map(({ severity, text }) => `${severity}: ${text}`);
}

function assertOne(findings: readonly Finding[], expected: RegExp): void {
  const problems = problemsOf(findings);
  assert.equal(problems.length, 1, problems.join('\n'));
  assert.match(problems[0] ?? '', expected);
}

describe('the doctor examines the machine', () => {
  for (const [version, expected] of [
    ['v20.20.2', /^advice: .* no security updates since 2026-04-30: use 22 or 24 or 26\.$/],
    ['v25.1.0', /^advice: .* not a long-term version/],
    ['v24.2.0', undefined],
    ['v28.0.0', undefined],
  ] as const) {
    it(`Node.js ${version} is ${expected === undefined ? 'fine' : 'a reason for advice'}`, () => {
      const findings = checkNode(version, today);
      if (expected === undefined) assert.deepEqual(problemsOf(findings), []);
      else assertOne(findings, expected);
    });
  }

  it('old and missing time zone data is a reason for advice', () => {
    assert.deepEqual(problemsOf(checkTimeZones('2026a', 2026)), []);
    assertOne(checkTimeZones('2022g', 2026), /^advice: .* is of 2022g, .*: update Node\.js\.$/);
    assertOne(checkTimeZones(undefined, 2026), /^advice: .* no time zone data/);
  });

  it('a memory limit below what the processes can use is a reason for advice', () => {
    const settings = settingsOf({
      APP_WORKERS: '4',
      APP_TASKS_THREADS: '2',
      APP_TASKS_THREAD_MEMORY_MB: '256',
    });
    assert.deepEqual(problemsOf(checkMemory(settings, 16 * 2 ** 30)), []);
    assertOne(
      checkMemory(settings, 512 * 2 ** 20),
      /^advice: 4 workers and their primary, and jobs in 2 threads can use \d+ MiB, and the limit is 512 MiB/,
    );
    const small = settingsOf({ APP_WORKER_MAX_MEMORY_MB: '200' });
    assertOne(checkMemory(small, 16 * 2 ** 30), /^advice: APP_WORKER_MAX_MEMORY_MB=200 is less than/);
  });
});

describe('the doctor examines the settings', () => {
  it('each error of the settings is a fault of its own, and each warning advice', () => {
    const { loaded, findings } = checkSettings({ env: { APP_ENVIRONMENT: 'production' }, envFile: null });
    assert.equal(loaded, undefined);
    const problems = problemsOf(findings);
    assert.ok(problems.length >= 3);
    for (const problem of problems) assert.match(problem, /^fault: (?:APP|SECURITY)_[A-Z_]+ /);

    const warned = checkSettings({ env: { APP_KEEP_ALIVE_SECONDS: '600' }, envFile: null });
    assertOne(warned.findings, /^advice: APP_KEEP_ALIVE_SECONDS is longer than APP_SHUTDOWN_GRACE_SECONDS/);
  });

  it('a file of secrets that every user can read is a reason for advice', async (t) => {
    const file = join(await mustMakeFolder(t), 'token');
    writeFileSync(file, 'k'.repeat(8) + '7'.repeat(16));
    const source = { env: { APP_MANAGEMENT_TOKEN_FILE: file }, envFile: null };
    chmodSync(file, 0o644);
    assertOne(checkSettings(source).findings, /^advice: Every user of this machine can read .*chmod 600/);
    chmodSync(file, 0o600);
    assert.deepEqual(problemsOf(checkSettings(source).findings), []);
  });

  it('a public URL of another host, plain origins and a short time of idle connections are reasons for advice', () => {
    const base = { APP_ALLOWED_HOSTS: 'api.example.com', APP_PUBLIC_URL: 'https://api.example.com' };
    assert.deepEqual(problemsOf(checkProxy(settingsOf(base), 60)), []);
    const elsewhere = { ...base, APP_PUBLIC_URL: 'https://www.example.com' };
    assertOne(
      checkProxy(settingsOf(elsewhere), 60),
      /^advice: APP_PUBLIC_URL names the host www\.example\.com/,
    );
    assert.deepEqual(
      problemsOf(checkProxy(settingsOf({ ...elsewhere, APP_ALLOWED_HOSTS: '*.example.com' }), 60)),
      [],
    );
    const behind = {
      ...base,
      SECURITY_TRUST_PROXY_HEADERS: 'true',
      SECURITY_TRUSTED_PROXIES: '10.0.0.0/8',
      APP_KEEP_ALIVE_SECONDS: '10',
    };
    assertOne(
      checkProxy(settingsOf(behind), 60),
      /^advice: APP_KEEP_ALIVE_SECONDS is 10, .* set APP_KEEP_ALIVE_SECONDS to 65 or more/,
    );
    assert.deepEqual(problemsOf(checkProxy(settingsOf(behind), 5)), []);
  });
});

describe('the doctor examines the database', () => {
  const check = (env: Readonly<Record<string, string>>, nodes = 1) =>
    checkDatabaseOf(settingsOf({ APP_TASKS_ENABLED: 'false', ...env }), nodes, today);
  /** Without what is true of every database of the tests, which are fast and owned by the superuser. */
  const problems = async (findings: Promise<readonly Finding[]>) =>
    problemsOf(await findings).filter((text) => !/superuser|fsync/.test(text));

  it('a superuser, and a server that can lose data in a crash, are reasons for advice', async (t) => {
    const found = problemsOf(await check({ APP_DATABASE_URL: await mustCreateDatabase(t) }));
    assert.equal(found.length, 2);
    assert.match(
      found.join('\n'),
      /^advice: fsync or full_page_writes .* is off.*\nadvice: .* as a superuser/,
    );
  });

  it('a migrated database is fine, and one with pending migrations is a fault', async (t) => {
    const url = await mustCreateDatabase(t);
    assert.deepEqual(await problems(check({ APP_DATABASE_URL: url })), []);
    const empty = await mustCreateDatabase(t, { empty: true });
    assert.match(
      (await problems(check({ APP_DATABASE_URL: empty }))).join(),
      /^fault: \d+ migrations are pending/,
    );
  });

  it('more connections than the database allows are a fault', async (t) => {
    const env = {
      APP_DATABASE_URL: await mustCreateDatabase(t),
      APP_WORKERS: '4',
      APP_DATABASE_POOL_SIZE: '9',
    };
    assert.deepEqual(await problems(check(env)), []);
    assert.match(
      (await problems(check(env, 50))).join(),
      /^fault: The processes open up to 2000 connections \(50 × \(4 × \(APP_DATABASE_POOL_SIZE \+ 1\)\) = 2000\)/,
    );
  });

  it('a database that does not answer, or does not exist, is a fault with the reason', async (t) => {
    const gone = await check({ APP_DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/db' });
    assertOne(gone, /^fault: The database of APP_DATABASE_URL cannot be used: .*ECONNREFUSED/);
    assert.doesNotMatch(JSON.stringify(gone), /secret/);
    const url = new URL(await mustCreateDatabase(t));
    url.pathname = '/not_there';
    assertOne(await check({ APP_DATABASE_URL: url.href }), /^fault: .*"?not_there"? does not exist/);
  });
});

describe('the doctor examines Redis', { skip: withoutRedis }, () => {
  for (const [what, options, expected] of [
    ['without a limit of its memory', [], /^advice: maxmemory of Redis is not set/],
    ['that refuses writes when it is full', ['--maxmemory', '50mb'], undefined],
    [
      'that evicts random keys',
      ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-random'],
      /^advice: maxmemory-policy of Redis is allkeys-random/,
    ],
    [
      'that evicts what expires soon',
      ['--maxmemory', '50mb', '--maxmemory-policy', 'volatile-ttl'],
      undefined,
    ],
    [
      'that is a replica',
      ['--maxmemory', '50mb', '--maxmemory-policy', 'volatile-ttl', '--replicaof', '127.0.0.1', '1'],
      /^fault: SECURITY_REDIS_URL names a replica/,
    ],
  ] as const) {
    it(`a Redis ${what} is ${expected === undefined ? 'fine' : 'found'}`, async (t) => {
      const redis = await startRedis(...options);
      t.after(() => redis.stop());
      const settings = settingsOf({ SECURITY_REDIS_ENABLED: 'true', SECURITY_REDIS_URL: redis.url });
      const findings = await checkRedisOf(settings);
      if (expected === undefined) assert.deepEqual(problemsOf(findings), []);
      else assertOne(findings, expected);
    });
  }

  it('a Redis that does not answer is a fault', async () => {
    const settings = settingsOf({
      SECURITY_REDIS_ENABLED: 'true',
      SECURITY_REDIS_URL: 'redis://127.0.0.1:1',
    });
    assertOne(
      await checkRedisOf(settings),
      /^fault: The Redis of SECURITY_REDIS_URL does not answer: .*ECONNREFUSED/,
    );
  });
});

describe('the doctor examines certificates', () => {
  /** A certificate that is valid for 30 days from now. */
  async function mustMakeCertificate(t: TestContext) {
    const folder = await mustMakeFolder(t);
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '30', '-nodes', '-newkey', 'rsa:2048'];
    execFileSync('openssl', ['req', '-x509', ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }

  async function mustListen(t: TestContext, server: Server): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return address.port;
  }

  const day = 86_400_000;

  it('a certificate that expires soon is a reason for advice, and an expired one a fault, however TLS begins', async (t) => {
    const pair = await mustMakeCertificate(t);
    /** Begins TLS on a connection that the client has asked for it. */
    const secure = (socket: Socket) =>
      new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(pair) }).on(
        'error',
        () => {},
      );
    const postgres = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (request) => {
        assert.equal(request.readInt32BE(4), 80_877_103);
        socket.write('S');
        secure(socket);
      });
    });
    const smtp = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.write('220 mail.example.com\r\n');
      socket.on('data', function answer(line) {
        if (line.toString().startsWith('EHLO')) socket.write('250-mail.example.com\r\n250 STARTTLS\r\n');
        else {
          socket.off('data', answer);
          socket.write('220 Go ahead\r\n');
          secure(socket);
        }
      });
    });
    const direct = createTlsServer(pair, (socket) => socket.on('error', () => {}));
    for (const [start, server] of [
      ['postgres', postgres],
      ['smtp', smtp],
      ['direct', direct],
    ] as const) {
      const source: CertificateSource = {
        ...{ subject: start, host: '127.0.0.1', port: await mustListen(t, server), start },
      };
      assert.deepEqual(problemsOf(await checkCertificate(source, Date.now())), [], start);
      assertOne(await checkCertificate(source, Date.now() + 20 * day), /^advice: .* expires in \d days/);
      assertOne(await checkCertificate(source, Date.now() + 31 * day), /^fault: .* expired on/);
    }
  });

  it('a service without TLS is fine, and one that does not answer is a reason for advice', async (t) => {
    const plain = createTcpServer((socket) => socket.once('data', () => socket.end('N')));
    const source = {
      subject: 'x',
      host: '127.0.0.1',
      port: await mustListen(t, plain),
      start: 'postgres',
    } as const;
    assert.deepEqual(problemsOf(await checkCertificate(source, 0)), []);
    assertOne(
      await checkCertificate({ ...source, port: 1 }, 0),
      /^advice: .* could not be read: .*ECONNREFUSED/,
    );
  });

  it('the services with TLS follow from the settings', () => {
    const sources = certificateSources(
      settingsOf({
        APP_DATABASE_URL: 'postgres://u@db.example.com/d?sslmode=require',
        SECURITY_REDIS_ENABLED: 'true',
        SECURITY_REDIS_URL: 'rediss://cache.example.com:6380',
        APP_SMTP_URL: 'smtp://mail.example.com',
      }),
    );
    assert.deepEqual(
      sources.map(({ host, port, start }) => [host, port, start]),
      [
        ['db.example.com', 5432, 'postgres'],
        ['cache.example.com', 6380, 'direct'],
        ['mail.example.com', 587, 'smtp'],
      ],
    );
  });
});

describe('npm run doctor', () => {
  function run(args: readonly string[], env: Readonly<Record<string, string>>) {
    return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      const options = { env: { PATH: process.env.PATH, ...env } };
      execFile(process.execPath, [...commandOf('cli/doctor'), ...args], options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : error.code, stdout, stderr });
      });
    });
  }

  it('prints faults first and exits with 1; advice alone is 2; and --json has the same findings', async () => {
    const [faulty, unclear] = await Promise.all([
      run([], { APP_ENVIRONMENT: 'production' }),
      run(['--json'], { APP_KEEP_ALIVE_SECONDS: '600', APP_DATABASE_URL: 'none' }),
    ]);
    assert.equal(faulty.code, 1);
    assert.match(faulty.stdout, /^fault {3}settings /);
    assert.match(faulty.stdout, /\n\d+ faults, \d+ pieces? of advice\.\n$/);
    assert.equal(unclear.code, 2);
    const { findings } = JSON.parse(unclear.stdout);
    assert.ok(
      findings.some(({ severity, text }: Finding) => severity === 'advice' && /APP_KEEP_ALIVE/.test(text)),
    );
    const wrong = await run(['--nodes', 'many'], {});
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^Usage: npm run doctor/);
  });

  it('a running server that ignores forwarding headers is found', async (t) => {
    const program = startProgram(t, { APP_MANAGEMENT_PORT: '0' });
    const url = await program.ready;
    const { port } = new URL(await program.management);
    const settings = settingsOf({ APP_MANAGEMENT_PORT: port });
    assert.deepEqual(problemsOf(await checkForwarding(settings)), []);
    await (await fetch(`${url}/api/v1/meta`, { headers: { 'x-forwarded-for': '192.0.2.7' } })).text();
    assertOne(
      await checkForwarding(settings),
      /^advice: The running server receives forwarding headers and ignores them/,
    );
  });
});
