import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import postgres from 'postgres';
import { connectDatabase } from '../../../src/db/database.ts';
import { connectDirectly } from '../../../src/db/driver/direct-connection.ts';
import { clusterFolder } from '../../../src/db/embedded/cluster.ts';
import { type EmbeddedDatabase, startEmbedded } from '../../../src/db/embedded/embedded.ts';
import { AppError } from '../../../src/errors.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { type After, testServerUrl } from '../../helpers/test-database.ts';

const poolOptions = {
  ...{ poolSize: 1, statementTimeoutMs: 10_000, connectTimeoutSeconds: 5, slowQueryMs: 10_000, echo: false },
  ...{ log: captureLog().log, applicationName: 'strata-test' },
};

/** Returns what PostgreSQL reports about a connection of a pool, or the error of that connection. */
async function look(url: string): Promise<Record<string, unknown>> {
  const database = connectDatabase({ url, ...poolOptions });
  try {
    const [row] = await database.sql`
      select ssl, version as tls, current_database() as database, current_user as user,
        current_setting('application_name') as application
      from pg_stat_ssl where pid = pg_backend_pid()`;
    return { ...row };
  } finally {
    await database.close(1);
  }
}

function withParameters(url: string, parameters: string, host?: string): string {
  const changed = new URL(url);
  if (host !== undefined) changed.hostname = host;
  return `${changed.href}?${parameters}`;
}

describe('a connection to a server with TLS and a self-signed certificate', () => {
  let folder = '';
  let server: EmbeddedDatabase | undefined;
  let url = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strata-tls-'));
    await chmod(folder, 0o755);
    const [certificate, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...[
          '-subj',
          '/CN=localhost',
          '-addext',
          'subjectAltName=DNS:localhost',
          '-keyout',
          key,
          '-out',
          certificate,
        ],
      ],
      { stdio: 'ignore' },
    );
    const dataDir = join(folder, 'postgres');
    server = await startEmbedded({ dataDir, log: captureLog().log, durable: false });
    url = server.url;
    const { uid, gid } = await stat(clusterFolder(dataDir));
    for (const name of ['server.crt', 'server.key']) {
      const target = join(clusterFolder(dataDir), name);
      await cp(join(folder, name), target);
      await chown(target, uid, gid);
      await chmod(target, 0o600);
    }
    const admin = postgres(url, { max: 1 });
    await admin`alter system set ssl = on`;
    await admin`select pg_reload_conf()`;
    await admin.end();
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [parameters, isEncrypted] of [
    ['', false],
    ['sslmode=disable', false],
    ['sslmode=prefer', true],
    ['sslmode=allow', true],
    ['sslmode=require', true],
    ['ssl=true', true],
    ['sslmode=no-verify', true],
    ['sslmode=require&sslaccept=accept_invalid_certs&connect_timeout=15&pgbouncer=true', true],
    ['sslmode=require&gssencmode=disable&target_session_attrs=any&keepalives_idle=30', true],
    ['sslmode=require&target_session_attrs=read-write', true],
    ['sslmode=verify-ca&sslrootcert=FOLDER/server.crt', true],
    ['sslmode=require&sslrootcert=FOLDER/server.crt', true],
  ] as const) {
    test(`a connection ${parameters || 'without parameters'} is ${isEncrypted ? '' : 'not '}encrypted`, async () => {
      const { ssl } = await look(withParameters(url, parameters.replace('FOLDER', folder)));
      assert.equal(ssl, isEncrypted);
    });
  }

  test('a host named by the certificate passes verify-full, and so channel_binding=require', async () => {
    const parameters = `channel_binding=require&sslrootcert=${folder}/server.crt`;
    assert.equal((await look(withParameters(url, parameters, 'localhost'))).ssl, true);
  });

  test('only the requested version of TLS is used', async () => {
    const parameters = 'sslmode=require&ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.2';
    assert.equal((await look(withParameters(url, parameters))).tls, 'TLSv1.2');
  });

  for (const [parameters, host, reason] of [
    ['sslmode=verify-full', 'localhost', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['sslmode=verify-ca', 'localhost', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['sslmode=require&channel_binding=require', 'localhost', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['sslmode=require&sslaccept=strict', 'localhost', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['sslmode=verify-full&sslrootcert=FOLDER/server.crt', '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const) {
    test(`a connection with ${parameters} rejects the certificate for ${host}`, async () => {
      await assert.rejects(look(withParameters(url, parameters.replace('FOLDER', folder), host)), (error) => {
        assert.ok(error instanceof AppError);
        assert.equal(error.code, 'database_unavailable');
        assert.ok(error.cause instanceof Error && 'code' in error.cause);
        assert.equal(error.cause.code, reason);
        return true;
      });
    });
  }

  test('a certificate that cannot be read stops the start with a sentence', async () => {
    await assert.rejects(
      look(withParameters(url, 'sslmode=verify-full&sslrootcert=/nowhere.pem')),
      /^StartError: The file of sslrootcert in the URL of the database cannot be read \(ENOENT\)/,
    );
  });
});

describe('a connection to a server without TLS', () => {
  test('a connection with sslmode=prefer succeeds', async () => {
    assert.equal((await look(withParameters(testServerUrl(), 'sslmode=prefer'))).ssl, false);
  });

  test('a connection with sslmode=require is rejected', async () => {
    await assert.rejects(look(withParameters(testServerUrl(), 'sslmode=require')), {
      code: 'database_unavailable',
    });
  });
});

/** Forwards another address to the run's PostgreSQL until the test ends. */
async function mustForward(t: After, listen: { readonly path: string } | { readonly host: string; port: 0 }) {
  const target = new URL(testServerUrl());
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    client.pipe(upstream).pipe(client);
    for (const end of [client, upstream])
      end
        .on('error', () => {})
        .on('close', () => {
          client.destroy();
          upstream.destroy();
        });
  });
  server.listen(listen);
  await once(server, 'listening');
  t.after(async () => void server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('the target of a connection', () => {
  const server = new URL(testServerUrl());
  const admin = postgres(testServerUrl(), { max: 1, onnotice: () => {} });
  after(() => admin.end());

  for (const [path, name] of [
    ['/my%20db', 'my db'],
    ['/b%C3%BCcher', 'bücher'],
    ['/bücher', 'bücher'],
    ['/a%2Fb%3Fc', 'a/b?c'],
  ] as const) {
    test(`a URL with the path ${path} connects to the database ${name}`, async (t) => {
      await admin`create database ${admin(name)} template template0`;
      t.after(() => admin`drop database ${admin(name)} with (force)`.then(() => {}));
      const root = server.href.slice(0, -server.pathname.length);
      assert.equal((await look(root + path)).database, name);
    });
  }

  test('a connection leads to an IPv6 address', async (t) => {
    const port = await mustForward(t, { host: '::1', port: 0 });
    const url = `postgres://${server.username}:${server.password}@[::1]:${port}${server.pathname}`;
    assert.equal((await look(url)).user, server.username);
  });

  test('a connection leads to a Unix domain socket', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'strata-socket-'));
    t.after(() => rm(folder, { recursive: true }));
    await mustForward(t, { path: join(folder, '.s.PGSQL.5432') });
    const url = `postgres://${server.username}:${server.password}@/${server.pathname.slice(1)}?host=${folder}`;
    assert.equal((await look(url)).user, server.username);
  });

  test('a connection leads to the first of several hosts that answers', async () => {
    const url = server.href.replace(`@${server.host}`, `@127.0.0.1:1,${server.host}`);
    assert.equal((await look(url)).user, server.username);
  });

  test('a connection uses the schema and the application name of the URL', async () => {
    const url = withParameters(server.href, 'schema=app&application_name=orders');
    const database = connectDatabase({ url, ...poolOptions });
    const [row] =
      await database.sql`select current_setting('search_path') as path, current_setting('application_name') as name`;
    await database.close(1);
    assert.deepEqual({ ...row }, { path: 'app', name: 'orders' });
  });
});

describe('a variable for psql in the environment has no effect', () => {
  for (const [name, value] of [
    ['PGTARGETSESSIONATTRS', 'any'],
    ['PGTARGETSESSIONATTRS', 'standby'],
    ['PGTARGET_SESSION_ATTRS', 'standby'],
    ['PGSSL', 'require'],
    ['PGSSLMODE', 'verify-full'],
    ['PGSSLNEGOTIATION', 'direct'],
    ['PGHOST', 'nowhere.invalid'],
    ['PGPORT', '1'],
    ['PGUSER', 'nobody'],
    ['PGDATABASE', 'nowhere'],
    ['PGAPPNAME', 'other'],
    ['PGMAX', '0'],
    ['PGPREPARE', 'false'],
    ['PGFETCH_TYPES', 'true'],
    ['PGKEEP_ALIVE', 'x'],
    ['PGIDLE_TIMEOUT', '1'],
    ['PGDEBUG', 'true'],
    ['PGOPTIONS', '-c datestyle=german'],
    ['PGCLIENTENCODING', 'LATIN1'],
  ] as const) {
    test(`${name}=${value}`, async (t) => {
      process.env[name] = value;
      t.after(() => {
        delete process.env[name];
      });
      const found = await look(testServerUrl());
      assert.deepEqual(
        { database: found.database, ssl: found.ssl, application: found.application },
        { database: new URL(testServerUrl()).pathname.slice(1), ssl: false, application: 'strata-test' },
      );
      const session = connectDirectly({
        url: testServerUrl(),
        applicationName: 'strata-test',
        connectTimeoutSeconds: 5,
      });
      assert.equal((await session`select 1 as one`)[0]?.one, 1);
      await session.end();
      assert.equal(process.env[name], value);
    });
  }
});
