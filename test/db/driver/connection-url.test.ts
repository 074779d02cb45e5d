import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type ConnectionTarget,
  ConnectionUrlError,
  readConnectionUrl,
} from '../../../src/db/driver/connection-url.ts';

/** The parts that a URL specifies, without those that it leaves out. */
function summarise({ hosts, user, password, database, tls, sessionAttributes, session }: ConnectionTarget) {
  const { mode, isDirect, ...files } = tls;
  const specified = { user, password, database, ...files, attributes: sessionAttributes };
  return {
    hosts: hosts.map(({ host, port }) => `${host} ${port}`).join(', '),
    tls: isDirect ? `${mode} direct` : mode,
    ...Object.fromEntries(Object.entries(specified).filter(([, value]) => value !== undefined)),
    ...session,
  };
}

const plain = { hosts: 'db.example.org 5432', tls: 'prefer' };
const ada = { ...plain, user: 'ada', password: 'pw', database: 'app' };

describe('a connection URL is parsed as libpq documents it', () => {
  const cases: [url: string, expected: Record<string, string>][] = [
    ['postgres://db.example.org', plain],
    ['postgresql://db.example.org/app', { ...plain, database: 'app' }],
    ['postgres://ada:pw@db.example.org:5433/app', { ...ada, hosts: 'db.example.org 5433' }],
    ['postgres://ada@db.example.org/', { ...plain, user: 'ada' }],
    ['postgres://a%40b:p%3A%2F%3F%23%40w@db.example.org/app', { ...ada, user: 'a@b', password: 'p:/?#@w' }],
    ['postgres://db.example.org/my%20db', { ...plain, database: 'my db' }],
    ['postgres://db.example.org/bücher', { ...plain, database: 'bücher' }],
    ['postgres://db.example.org/b%C3%BCcher', { ...plain, database: 'bücher' }],
    ['postgres://bücher.example/app', { ...plain, hosts: 'xn--bcher-kva.example 5432', database: 'app' }],
    ['postgres://[::1]/app', { hosts: '::1 5432', tls: 'disable', database: 'app' }],
    ['postgres://[2001:db8::7]:5433/app', { hosts: '2001:db8::7 5433', tls: 'prefer', database: 'app' }],
    ['postgres://localhost/app', { hosts: 'localhost 5432', tls: 'disable', database: 'app' }],
    ['postgres://127.0.0.1/app', { hosts: '127.0.0.1 5432', tls: 'disable', database: 'app' }],
    [
      'postgres://a:5433,[::1]:5434,c/app',
      { hosts: 'a 5433, ::1 5434, c 5432', tls: 'prefer', database: 'app' },
    ],
    ['postgres://a,b/app?port=6432', { hosts: 'a 6432, b 6432', tls: 'prefer', database: 'app' }],
    ['postgres://a,b/app?port=1,2', { hosts: 'a 1, b 2', tls: 'prefer', database: 'app' }],
    [
      'postgres:///app?host=/var/run/postgresql',
      { hosts: '/var/run/postgresql 5432', tls: 'disable', database: 'app' },
    ],
    ['postgres://%2Frun%2Fpg:5433/app', { hosts: '/run/pg 5433', tls: 'disable', database: 'app' }],
    ['postgres://x/?host=db.example.org&user=ada&password=pw&dbname=app', ada],
    ['postgres://db.example.org/?host=::1', { hosts: '::1 5432', tls: 'disable' }],
  ];
  for (const [url, expected] of cases) {
    test(url, () => assert.deepEqual(summarise(readConnectionUrl(url)), expected));
  }
});

describe('the URL of a hosting provider is accepted', () => {
  const cases: [provider: string, parameters: string, expected: Record<string, string>][] = [
    ['Neon', 'sslmode=require&channel_binding=require', { ...ada, tls: 'verify-full' }],
    [
      'Neon without SNI',
      'sslmode=require&options=endpoint%3Dep-x-1',
      { ...ada, tls: 'require', options: 'endpoint=ep-x-1' },
    ],
    ['Prisma', 'schema=public&connection_limit=5&pool_timeout=10&socket_timeout=5', ada],
    ['Prisma with a schema', 'schema=app', { ...ada, search_path: 'app' }],
    ['Prisma with a checked certificate', 'sslmode=require&sslaccept=strict', { ...ada, tls: 'verify-full' }],
    ['Prisma Accelerate', 'sslmode=require&sslaccept=accept_invalid_certs', { ...ada, tls: 'require' }],
    ['Supabase', 'pgbouncer=true&connection_limit=1', ada],
    ['Supabase on Vercel', 'sslmode=require&supa=base-pooler.x', { ...ada, tls: 'require' }],
    ['Vercel', 'pgbouncer=true&connect_timeout=15&sslmode=require', { ...ada, tls: 'require' }],
    ['Heroku, Render, Railway', '', ada],
    ['Render, from outside', 'ssl=true', { ...ada, tls: 'require' }],
    ['DigitalOcean, Aiven, Azure', 'sslmode=require', { ...ada, tls: 'require' }],
    ['CockroachDB', 'sslmode=verify-full', { ...ada, tls: 'verify-full' }],
    [
      'Amazon',
      'sslmode=verify-full&sslrootcert=/ca.pem',
      { ...ada, tls: 'verify-full', rootCertificate: '/ca.pem' },
    ],
    ['node-postgres', 'sslmode=no-verify&uselibpqcompat=true', { ...ada, tls: 'require' }],
    [
      'libpq',
      'gssencmode=disable&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3',
      ada,
    ],
    ['libpq', 'connect_timeout=10&tcp_user_timeout=5000&target_session_attrs=any&client_encoding=utf8', ada],
  ];
  for (const [provider, parameters, expected] of cases) {
    test(`the parameters ${parameters} of ${provider} URLs are accepted`, () => {
      const url = `postgres://ada:pw@db.example.org/app?${parameters}`;
      assert.deepEqual(summarise(readConnectionUrl(url)), expected);
    });
  }
});

describe('a parameter that affects the connection is used', () => {
  const cases: [parameters: string, expected: Record<string, string>][] = [
    ['sslmode=disable', { tls: 'disable' }],
    ['sslmode=allow', { tls: 'prefer' }],
    ['sslmode=verify-ca', { tls: 'verify-ca' }],
    ['sslmode=', {}],
    ['sslmode=disable&sslmode=require', { tls: 'require' }],
    ['sslmode=require&sslrootcert=/ca.pem', { tls: 'verify-ca', rootCertificate: '/ca.pem' }],
    ['sslmode=require&sslrootcert=system', { tls: 'verify-full' }],
    ['sslmode=require&sslnegotiation=direct', { tls: 'require direct' }],
    [
      'sslmode=require&sslcert=/c&sslkey=/k&sslpassword=s',
      { tls: 'require', certificate: '/c', key: '/k', passphrase: 's' },
    ],
    ['sslmode=require&ssl_min_protocol_version=TLSv1.3', { tls: 'require', minVersion: 'TLSv1.3' }],
    ['channel_binding=prefer', {}],
    ['target_session_attrs=read-write', { attributes: 'read-write' }],
    ['application_name=orders', { application_name: 'orders' }],
    ['currentSchema=app', { search_path: 'app' }],
    ['options=-c%20search_path%3Dapp', { options: '-c search_path=app' }],
  ];
  for (const [parameters, expected] of cases) {
    test(parameters, () => {
      const read = summarise(readConnectionUrl(`postgres://db.example.org/?${parameters}`));
      assert.deepEqual(read, { ...plain, ...expected });
    });
  }
});

describe('an invalid URL is rejected with the reason, and without its values', () => {
  const cases: [url: string, reason: RegExp][] = [
    [
      'postgres://db/?statement_timeout=5',
      /^the parameter statement_timeout is not supported here: remove it$/,
    ],
    ['postgres://db/?requirepeer=secret', /requirepeer is not supported/],
    ['postgres://db/?require_auth=secret', /require_auth is not supported/],
    ['postgres://db/?gssencmode=require', /gssencmode has a value that is not supported/],
    ['postgres://db/?client_encoding=LATIN1', /client_encoding has a value/],
    ['postgres://db/?replication=database', /replication has a value/],
    [
      'postgres://db/?sslmode=secret',
      /^sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full$/,
    ],
    ['postgres://db/?target_session_attrs=secret', /^target_session_attrs must be one of any, read-write/],
    ['postgres://db/?channel_binding=secret', /^channel_binding must be one of/],
    ['postgres://db/?sslcert=/secret', /need sslmode=require or stricter/],
    ['postgres://db/?s%cret', /^a parameter is not supported here/],
    ['postgres://', /names no host/],
    ['postgres:///app', /names no host/],
    ['postgres://a,/app', /names no host/],
    ['postgres://db:secret/app', /^the URL is not valid/],
    ['postgres://db:99999/app', /a port is a number/],
    ['postgres://a,b/?port=1,2,3', /one for each host/],
    ['postgres://[::1/app', /not valid/],
    ['postgres://::1/app', /not valid/],
    ['postgres:///app?host=/run/pg,other', /cannot be one of several/],
    ['postgres:///app?host=/run/pg&sslmode=verify-full', /a Unix domain socket has no TLS/],
    ['postgres://ada:p@ss:w/rd@db/app', /percent-encode/],
    ['postgres://ada:se@cret@db/app', /percent-encode/],
    ['postgres://ada:se:cret@db/app', /percent-encode/],
    ['postgres://ada:%zz@db/app', /percent-encode/],
    ['postgres://ada:p ss@db/app', /percent-encode/],
    ['postgres://ada:p#ss@db/app', /percent-encode/],
  ];
  for (const [url, reason] of cases) {
    test(url, () => {
      assert.throws(
        () => readConnectionUrl(url),
        (error) => {
          assert.ok(error instanceof ConnectionUrlError);
          assert.match(error.message, reason);
          assert.doesNotMatch(error.message, /secret|99999/);
          return true;
        },
      );
    });
  }
});
