/**
 * Parses the URL of a Redis server, of a Redis Cluster, or of servers that Sentinel watches. Valkey speaks the same protocol.
 *
 *     redis://user:password@host:6379/0                       one server; rediss:// for TLS
 *     redis+cluster://user:password@host:7000,host:7001       a cluster: any of its nodes; rediss+cluster:// for TLS
 *     redis+sentinel://host:26379,host:26379/0?master=name    the addresses of Sentinel, and the name of its master
 *
 * The first form is the one registered for `redis` and `rediss` at IANA. Every other parameter is rejected by name, because
 * a parameter that silently has no effect may be a protection. The messages never repeat a value from the URL.
 */

/** Why a URL cannot be used. The message is the end of a sentence. */
export class RedisUrlError extends Error {}

export interface RedisTarget {
  readonly kind: 'server' | 'cluster' | 'sentinel';
  readonly tls: boolean;
  readonly hosts: readonly RedisHost[];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** The name under which Sentinel knows the master; only for `sentinel`. */
  readonly master: string;
  /** The password of Sentinel itself; only for `sentinel`. */
  readonly sentinelPassword: string | undefined;
}

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

const defaultPorts = { server: 6379, cluster: 6379, sentinel: 26_379 } as const;
const maxDatabase = 65_535;

const encode =
  'percent-encode what is special in the user name and the password (@ is %40, : %3A, / %2F, ? %3F, # %23)';

/** Parses a URL with one of the schemes above. Throws a RedisUrlError. */
export function readRedisUrl(text: string): RedisTarget {
  const form = /^(?:redis|valkey)(s?)(?:\+(cluster|sentinel))?:\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/i.exec(
    text,
  );
  if (form === null || /[\s\p{Cc}#]/u.test(text)) throw new RedisUrlError(`the URL is not valid; ${encode}`);
  const [, secure = '', word = 'server', authority = '', path = '', query = ''] = form;
  const kind = word.toLowerCase() as RedisTarget['kind'];
  const [hostPart = '', userPart, ...more] = authority.split('@').reverse();
  if (`${path}${query}`.includes('@') || more.length > 0) throw new RedisUrlError(encode);
  const [username = '', password = '', ...rest] = userPart?.split(':') ?? [];
  if (rest.length > 0) throw new RedisUrlError(encode);
  const parameters = readParameters(query, kind);
  return {
    kind,
    tls: secure !== '',
    hosts: readHosts(hostPart, kind),
    username: decode(username) || undefined,
    password: decode(password) || undefined,
    database: readDatabase(path, kind),
    master: parameters.get('master') ?? '',
    sentinelPassword: parameters.get('sentinel_password'),
  };
}

/** Returns the URL without user name and password, for messages: `redis://host:6379/0`. */
export function describeRedis({ kind, tls, hosts, database, master }: RedisTarget): string {
  const scheme = `redis${tls ? 's' : ''}${kind === 'server' ? '' : `+${kind}`}`;
  const names = hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join();
  return `${scheme}://${names}/${kind === 'cluster' ? '' : database}${master === '' ? '' : `?master=${master}`}`;
}

function readHosts(text: string, kind: RedisTarget['kind']): RedisHost[] {
  const hosts = text.split(',').map((each): RedisHost => {
    const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^[\]:]+))(?::(\d{1,5}))?$/i.exec(each) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined) throw new RedisUrlError('it needs a host, as in redis://host:6379/0');
    const number = port === undefined ? defaultPorts[kind] : Number(port);
    if (number < 1 || number > 65_535) throw new RedisUrlError('a port is a number from 1 to 65535');
    return { host, port: number };
  });
  if (kind === 'server' && hosts.length > 1) {
    throw new RedisUrlError('several hosts need redis+cluster:// or redis+sentinel://');
  }
  return hosts;
}

function readDatabase(path: string, kind: RedisTarget['kind']): number {
  if (path === '') return 0;
  if (kind === 'cluster' && path !== '0') {
    throw new RedisUrlError('a Redis Cluster has only database 0: remove the number after the last /');
  }
  const number = /^(?:0|[1-9]\d*)$/.test(path) ? Number(path) : Number.NaN;
  if (!(number <= maxDatabase))
    throw new RedisUrlError('the part after the last / is the number of a database');
  return number;
}

function readParameters(query: string, kind: RedisTarget['kind']): Map<string, string> {
  const known = kind === 'sentinel' ? ['master', 'sentinel_password'] : [];
  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [name = '', ...rest] = pair.split('=');
    const label = /^[\w.-]{1,40}$/.test(name) ? `the parameter ${name}` : 'a parameter';
    if (!known.includes(name)) throw new RedisUrlError(`${label} is not supported here: remove it`);
    if (parameters.has(name)) throw new RedisUrlError(`${label} is given twice`);
    parameters.set(name, decode(rest.join('=')));
  }
  if (kind === 'sentinel' && !parameters.get('master')) {
    throw new RedisUrlError('it needs the name of the master, as in ?master=mymaster');
  }
  return parameters;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisUrlError(encode);
  }
}
