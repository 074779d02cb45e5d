/**
 * Turns the URL of a database into the driver's options: the servers, the encryption, and the session parameters.
 * `driver.ts` passes options and never the URL, because the driver parses URLs differently and sends unknown parameters
 * to the server.
 *
 * A database or a role can have defaults of its own (`alter database … set datestyle`), and some of them change the
 * meaning of a value. There are two defences:
 *
 * - `sessionDefaults` are sent with each connection. A pooler rejects parameters that it does not know. These are
 *   parameters that PostgreSQL reports to its clients, so every pooler supports them.
 * - All others are read in any form (`column-types.ts`), or checked before the program starts (`suitability.ts`).
 */

import { readFileSync } from 'node:fs';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { StartError } from '../../errors.ts';
import { type ConnectionTarget, readConnectionUrl, type TlsVersion } from './connection-url.ts';

/** Options of the driver. All are given, so that it reads none from elsewhere. */
export interface ConnectionOptions {
  readonly host: string[];
  readonly port: number[];
  readonly path?: string;
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
  readonly ssl: false | 'prefer' | TlsOptions;
  readonly sslnegotiation?: 'direct';
  readonly target_session_attrs?: Exclude<ConnectionTarget['sessionAttributes'], undefined>;
  readonly connection: Readonly<Record<string, string>>;
}

/** The options of `tls.connect` that a URL can set. */
interface TlsOptions {
  readonly rejectUnauthorized: boolean;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly passphrase?: string;
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

const sessionDefaults = {
  DateStyle: 'ISO, MDY',
  // Offsets of other zones may have seconds, which JavaScript does not parse.
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

/**
 * Session parameters with which PostgreSQL gives up a client that disappeared without closing its connection, as when its
 * machine loses power or the network. Most systems need two hours for that by default, and until then the client's locks
 * and open transactions remain. With these values PostgreSQL needs 5 + 3 x 3 seconds. They have no effect on a Unix domain
 * socket. A pooler rejects them, so they are not among the defaults.
 */
export const serverKeepAlive = {
  tcp_keepalives_idle: '5',
  tcp_keepalives_interval: '3',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '14000',
} as const;

/** The statement that sets them in an open session. */
export const setServerKeepAlive = `select ${Object.entries(serverKeepAlive)
  .map(([name, value]) => `set_config('${name}', '${value}', false)`)
  .join(', ')}`;

/**
 * Returns the options for a URL. `parameters` are session parameters, sent as text, because the driver drops the number
 * 0. Throws a ConnectionUrlError for an invalid URL, and a StartError for a certificate that cannot be read.
 */
export function connectionOptions(
  url: string,
  parameters: Readonly<Record<string, string | number>>,
): ConnectionOptions {
  const target = readConnectionUrl(url);
  const [first] = target.hosts;
  const texts = Object.entries(parameters).map(([name, value]) => [name, String(value)]);
  return {
    host: target.hosts.map(({ host }) => host),
    port: target.hosts.map(({ port }) => port),
    ...(first?.host.startsWith('/') === true && { path: `${first.host}/.s.PGSQL.${first.port}` }),
    ...(target.user !== undefined && { user: target.user }),
    ...(target.password !== undefined && { password: target.password }),
    ...(target.database !== undefined && { database: target.database }),
    ssl: tlsOptions(target),
    ...(target.tls.isDirect && { sslnegotiation: 'direct' }),
    ...(target.sessionAttributes !== undefined && { target_session_attrs: target.sessionAttributes }),
    connection: { ...sessionDefaults, ...Object.fromEntries(texts), ...target.session },
  };
}

function tlsOptions({ tls, hosts }: ConnectionTarget): ConnectionOptions['ssl'] {
  const { mode, rootCertificate, certificate, key, passphrase, minVersion, maxVersion } = tls;
  if (mode === 'disable' || hosts[0]?.host.startsWith('/') === true) return false;
  if (mode === 'prefer') return 'prefer';
  return {
    rejectUnauthorized: mode !== 'require',
    ...(rootCertificate !== undefined && { ca: readPem('sslrootcert', rootCertificate) }),
    ...(certificate !== undefined && { cert: readPem('sslcert', certificate) }),
    ...(key !== undefined && { key: readPem('sslkey', key) }),
    ...(passphrase !== undefined && { passphrase }),
    ...(minVersion !== undefined && { minVersion }),
    ...(maxVersion !== undefined && { maxVersion }),
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(mode === 'verify-full' && {
      checkServerIdentity: (_name, certificate) => verifyServerName(hosts, certificate),
    }),
  };
}

/** Not by the name that TLS passes, which is empty for an IP address. With several hosts, each of them is accepted. */
function verifyServerName(hosts: ConnectionTarget['hosts'], certificate: PeerCertificate): Error | undefined {
  const errors = hosts.map(({ host }) => checkServerIdentity(host, certificate));
  return errors.includes(undefined) ? undefined : errors[0];
}

function readPem(parameter: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new StartError(
      `The file of ${parameter} in the URL of the database cannot be read (${code}): check that it exists and that this user may read it.`,
      { cause },
    );
  }
}
