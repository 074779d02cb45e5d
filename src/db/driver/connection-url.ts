/**
 * Parses the URL of a PostgreSQL server in the form that libpq documents ("Connection URIs"), based on RFC 3986.
 *
 *     postgres://user:password@host:port,host:port/database?parameter=value&parameter=value
 *
 * Hosting providers, pools and object mappers add parameters of their own. Each parameter is one of three kinds:
 *
 * - used: it determines where to connect to, how to encrypt, or how the session starts
 * - ignored by name: its value changes nothing that this program promises
 * - rejected by name: everything else, because a parameter that silently has no effect may be a protection
 *
 * This module does not read the environment, a file, or the network. Its messages never repeat a value from the URL.
 */

import { domainToASCII } from 'node:url';

/** Why a URL cannot be used. The message is the end of a sentence. */
export class ConnectionUrlError extends Error {}

/** How strictly the connection is encrypted, in the terms of libpq. `allow` counts as `prefer`. */
export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

const sessionAttributes = ['read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
export type SessionAttributes = (typeof sessionAttributes)[number];

const tlsVersions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof tlsVersions)[number];

export interface ConnectionTarget {
  /** Tried in this order. A host that starts with `/` is the folder of a Unix domain socket, and then the only host. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** Default: the account of the process for the user, and the name of the user for the database. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly tls: {
    readonly mode: TlsMode;
    /** Paths of PEM files. */
    readonly rootCertificate: string | undefined;
    readonly certificate: string | undefined;
    readonly key: string | undefined;
    readonly passphrase: string | undefined;
    readonly minVersion: TlsVersion | undefined;
    readonly maxVersion: TlsVersion | undefined;
    /** Whether TLS starts without a request for it (`sslnegotiation=direct`). */
    readonly isDirect: boolean;
  };
  /** Which of several hosts are acceptable; undefined for any. */
  readonly sessionAttributes: SessionAttributes | undefined;
  /** Parameters of the session. */
  readonly session: Readonly<Record<string, string>>;
}

/** Parameters that are used below. */
const used = new Set([
  ...['host', 'port', 'user', 'password', 'dbname', 'target_session_attrs', 'sslnegotiation'],
  ...['sslmode', 'ssl', 'sslaccept', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'channel_binding'],
  ...['ssl_min_protocol_version', 'ssl_max_protocol_version'],
  ...['application_name', 'options', 'schema', 'currentSchema', 'search_path'],
]);

/** Parameters without an effect here, and the values for which that is harmless: by default all. */
const ignored: ReadonlyMap<string, RegExp> = new Map([
  ...[
    // The program decides these by its own settings and by the answer watch.
    ...['connect_timeout', 'keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count'],
    ...['tcp_user_timeout', 'fallback_application_name', 'load_balance_hosts', 'max_protocol_version'],
    // Parameters of pools and object mappers: Prisma, node-postgres, Supabase, Vercel.
    ...['pgbouncer', 'connection_limit', 'pool_timeout', 'socket_timeout', 'statement_cache_size'],
    ...['uselibpqcompat', 'supa', 'workaround', 'pool_mode'],
    // Parameters of Kerberos, and of a compression that TLS no longer has.
    ...['krbsrvname', 'gsslib', 'sslcompression'],
  ].map((name): [string, RegExp] => [name, /^/]),
  ['client_encoding', /^(?:utf-?8|auto)$/i],
  ['gssencmode', /^(?:disable|prefer)$/],
  ['gssdelegation', /^0$/],
  ['sslcertmode', /^(?:allow|disable)$/],
  ['sslsni', /^1$/],
  ['replication', /^(?:false|off|no|0)$/],
  ['min_protocol_version', /^3\.0$/],
]);

const encode =
  'percent-encode what is special in the user name and the password (@ is %40, : %3A, / %2F, ? %3F, # %23)';

/** Parses a URL that starts with `postgres://` or `postgresql://`. Throws a ConnectionUrlError. */
export function readConnectionUrl(text: string): ConnectionTarget {
  const form = /^postgres(?:ql)?:\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is.exec(text);
  if (form === null || /[\s\p{Cc}#]/u.test(text))
    throw new ConnectionUrlError(`the URL is not valid; ${encode}`);
  const [, authority = '', path = '', query = ''] = form;
  const [hostPart = '', userPart, ...more] = authority.split('@').reverse();
  if (`${path}${query}`.includes('@') || more.length > 0) throw new ConnectionUrlError(encode);
  const [user = '', ...password] = userPart?.split(':') ?? [];
  if (password.length > 1) throw new ConnectionUrlError(encode);

  const parameters = readParameters(query);
  const hosts = readHosts(hostPart, parameters);
  const attributes = readOne(parameters, 'target_session_attrs', ['any', ...sessionAttributes]);
  return {
    hosts,
    user: parameters.get('user') ?? nonEmpty(decode(user)),
    password: parameters.get('password') ?? nonEmpty(decode(password[0] ?? '')),
    database: parameters.get('dbname') ?? nonEmpty(decode(path)),
    tls: readTls(parameters, hosts),
    sessionAttributes: attributes === 'any' ? undefined : attributes,
    session: readSession(parameters),
  };
}

function readParameters(query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [name = '', ...rest] = pair.split('=');
    const value = decode(rest.join('='));
    const harmless = ignored.get(name);
    if (harmless === undefined && !used.has(name)) {
      throw new ConnectionUrlError(`${describe(name)} is not supported here: remove it`);
    }
    if (harmless !== undefined && value !== '' && !harmless.test(value)) {
      throw new ConnectionUrlError(`${describe(name)} has a value that is not supported here: remove it`);
    }
    // Like libpq: an empty value counts as missing, and the last of several values wins.
    if (harmless === undefined && value !== '') parameters.set(name, value);
  }
  return parameters;
}

/** Names a parameter in a message. Text that does not look like a name may be part of a password. */
function describe(name: string): string {
  return /^[a-z][a-z0-9_]{0,39}$/i.test(name) ? `the parameter ${name}` : 'a parameter';
}

interface Host {
  readonly host: string;
  readonly port: string | undefined;
}

/** The hosts of the URL's authority, or of the parameters `host` and `port`, which take precedence as in libpq. */
function readHosts(authority: string, parameters: ReadonlyMap<string, string>): ConnectionTarget['hosts'] {
  const named = parameters.get('host')?.split(',');
  const items = named?.map((host): Host => ({ host, port: undefined })) ?? authority.split(',').map(readHost);
  const ports = parameters.get('port')?.split(',') ?? [];
  if (ports.length > 1 && ports.length !== items.length) {
    throw new ConnectionUrlError('the parameter port must have one number, or one for each host');
  }
  const hosts = items.map(({ host, port }, index) => {
    if (host === '') throw new ConnectionUrlError('the URL names no host');
    return {
      host: host.startsWith('/') ? host : toAscii(host),
      port: readPort(port ?? ports[ports.length === 1 ? 0 : index] ?? '5432'),
    };
  });
  if (hosts.length > 1 && hosts.some(({ host }) => host.startsWith('/'))) {
    throw new ConnectionUrlError('a Unix domain socket cannot be one of several hosts');
  }
  return hosts;
}

/** `host`, `host:port`, `[address]` or `[address]:port` (RFC 3986, section 3.2). */
function readHost(text: string): Host {
  const form = /^(?:\[([0-9a-f:.]+(?:%[\w.%-]+)?)\]|([^:[\]]*))(?::(\d*))?$/i.exec(text);
  if (form === null) throw new ConnectionUrlError(`the URL is not valid; ${encode}`);
  const [, address, name = '', port = ''] = form;
  return { host: address ?? decode(name), port: nonEmpty(port) };
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new ConnectionUrlError('the URL is not valid: a port is a number from 1 to 65535');
}

/** Converts an internationalised name to its DNS form. */
function toAscii(host: string): string {
  if (/^[\x21-\x7e]+$/.test(host)) return host;
  const ascii = domainToASCII(host);
  if (ascii === '') throw new ConnectionUrlError('the URL is not valid: its host is not a name');
  return ascii;
}

/** Whether a connection to the host stays on this machine. */
function isLocal(host: string): boolean {
  return /^(?:\/|localhost$|127\.|::1$)/i.test(host);
}

const modes: ReadonlyMap<string, TlsMode> = new Map([
  ['disable', 'disable'],
  ['allow', 'prefer'],
  ['prefer', 'prefer'],
  ['require', 'require'],
  ['verify-ca', 'verify-ca'],
  ['verify-full', 'verify-full'],
  // node-postgres.
  ['no-verify', 'require'],
]);

/** libpq translates `ssl=true` of JDBC in the same way. */
const sslWords: ReadonlyMap<string, string> = new Map([
  ...['true', '1', 'on', 'yes'].map((word) => [word, 'require'] as const),
  ...['false', '0', 'off', 'no'].map((word) => [word, 'disable'] as const),
]);

/**
 * Follows libpq, except that
 * - without `sslmode`, TLS is not requested from a server on this machine;
 * - `channel_binding=require`, which the driver does not support, becomes the verification of the certificate: both
 *   exist to prevent an attacker in the middle.
 */
function readTls(
  parameters: ReadonlyMap<string, string>,
  hosts: ConnectionTarget['hosts'],
): ConnectionTarget['tls'] {
  const isAllLocal = hosts.every(({ host }) => isLocal(host));
  const word = parameters.get('sslmode') ?? parameters.get('ssl') ?? (isAllLocal ? 'disable' : 'prefer');
  const wanted = modes.get(parameters.has('sslmode') ? word : (sslWords.get(word) ?? word));
  if (wanted === undefined) {
    throw new ConnectionUrlError(`sslmode must be one of ${[...modes.keys()].slice(0, 6).join(', ')}`);
  }
  const binding = readOne(parameters, 'channel_binding', ['disable', 'prefer', 'require']);
  const accepts = readOne(parameters, 'sslaccept', ['strict', 'accept_invalid_certs']);
  const rootCertificate = parameters.get('sslrootcert');
  const mode = strongest(wanted, [
    rootCertificate === 'system' || binding === 'require' || accepts === 'strict' ? 'verify-full' : wanted,
    rootCertificate !== undefined && wanted === 'require' ? 'verify-ca' : wanted,
  ]);
  if (hosts[0]?.host.startsWith('/') === true && mode === 'verify-full') {
    throw new ConnectionUrlError('a Unix domain socket has no TLS: remove sslmode and channel_binding');
  }
  const tls = {
    mode,
    rootCertificate: rootCertificate === 'system' ? undefined : rootCertificate,
    certificate: parameters.get('sslcert'),
    key: parameters.get('sslkey'),
    passphrase: parameters.get('sslpassword'),
    minVersion: readOne(parameters, 'ssl_min_protocol_version', tlsVersions),
    maxVersion: readOne(parameters, 'ssl_max_protocol_version', tlsVersions),
    isDirect: readOne(parameters, 'sslnegotiation', ['postgres', 'direct']) === 'direct',
  };
  const needsTls = tls.certificate ?? tls.key ?? tls.minVersion ?? tls.maxVersion;
  if ((mode === 'disable' || mode === 'prefer') && (needsTls !== undefined || tls.isDirect)) {
    throw new ConnectionUrlError('its parameters for TLS need sslmode=require or stricter: add it');
  }
  return tls;
}

function strongest(first: TlsMode, others: readonly TlsMode[]): TlsMode {
  const order = [...modes.values()];
  return others.reduce((a, b) => (order.indexOf(a) < order.indexOf(b) ? b : a), first);
}

function readOne<const Word extends string>(
  parameters: ReadonlyMap<string, string>,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const value = parameters.get(name);
  if (value === undefined) return undefined;
  const word = words.find((each) => each === value);
  if (word === undefined) throw new ConnectionUrlError(`${name} must be one of ${words.join(', ')}`);
  return word;
}

function readSession(parameters: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const session: Record<string, string> = {};
  const schema = parameters.get('search_path') ?? parameters.get('schema') ?? parameters.get('currentSchema');
  // `public` is the default, and a pooler may reject the parameter.
  if (schema !== undefined && schema !== 'public') session.search_path = schema;
  const application = parameters.get('application_name');
  if (application !== undefined) session.application_name = application;
  const options = parameters.get('options');
  if (options !== undefined) session.options = options;
  return session;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConnectionUrlError(encode);
  }
}

function nonEmpty(text: string): string | undefined {
  return text === '' ? undefined : text;
}
