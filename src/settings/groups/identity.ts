import { integer, kind, list, reject, text } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

const phase = 2;
const maxSecretLength = 1024;

/** Who may come in: how access tokens are signed, how long somebody stays signed in, and where an API key stands. */
export const identity = {
  jwtSecret: variable('SECURITY_JWT_SECRET', text(maxSecretLength), {
    default: '',
    aliases: ['JWT_SECRET'],
    secret: 'value',
    phase,
    about:
      'The secret that access tokens are signed with: `openssl rand -hex 32` makes one. Staging and production do not start without; elsewhere one is made and kept in APP_DATA_DIR.',
  }),
  jwtSecrets: variable('SECURITY_JWT_SECRETS', list('secrets', readSecret), {
    default: '[]',
    secret: 'value',
    phase,
    about:
      'Several secrets, to change them without signing everybody out: the first signs, all verify. Instead of SECURITY_JWT_SECRET, or with the same secret first.',
  }),
  jwtAlgorithm: variable('SECURITY_JWT_ALGORITHM', kind('one of HS256, HS384, HS512', readAlgorithm), {
    default: 'HS256',
    phase,
    about:
      'The one algorithm that access tokens are signed with and may have (RFC 7518, section 3.2). A secret has at least as many bytes as its hash: 32, 48 or 64.',
  }),
  jwtExpiryMinutes: variable('SECURITY_JWT_EXPIRY_MINUTES', integer(1, 1440, 'minutes'), {
    default: '60',
    phase,
    about: 'How long an access token is good for. A session gets a new one with its refresh token.',
  }),
  jwtIssuer: variable('SECURITY_JWT_ISSUER', text(200), {
    default: 'strata',
    phase,
    about: 'Who issues access tokens: their `iss`. Tokens of another issuer are refused.',
  }),
  jwtAudience: variable('SECURITY_JWT_AUDIENCE', text(200), {
    default: 'strata',
    phase,
    about: 'Whom access tokens are for: their `aud`. Tokens for others are refused.',
  }),
  apiKeyHeader: variable(
    'SECURITY_API_KEY_HEADER',
    kind('the name of a header field such as X-API-Key', readKeyHeader),
    { default: 'X-API-Key', phase, about: 'The header field that programs send their API key in.' },
  ),
  sessionIdleDays: variable('SECURITY_SESSION_IDLE_DAYS', integer(1, 3650, 'days'), {
    default: '14',
    phase,
    about: 'A session that is not refreshed for so long ends.',
  }),
  sessionMaxDays: variable('SECURITY_SESSION_MAX_DAYS', integer(1, 3650, 'days'), {
    default: '90',
    phase,
    about: 'A session ends after so long, however much it is used.',
  }),
  sessionRecheckSeconds: variable('SECURITY_SESSION_RECHECK_SECONDS', integer(0, 300, 'seconds'), {
    default: '15',
    phase,
    about:
      'How long a checked credential is believed before the database is asked again: the time within which a revoked session, a changed role or a deleted user takes effect everywhere. 0 asks with every request.',
  }),
  rateLimitUserPerMinute: variable('SECURITY_RATE_LIMIT_USER_PER_MINUTE', integer(1, 1_000_000, 'requests'), {
    default: '120',
    phase,
    about: 'Requests of one user in any 60 seconds, from all addresses together.',
  }),
};

function readSecret(secret: string): string {
  const fits = secret !== '' && secret.length <= maxSecretLength && !/\p{Cc}/u.test(secret);
  return fits ? secret : reject();
}

const algorithms = ['HS256', 'HS384', 'HS512'] as const;

function readAlgorithm(name: string): (typeof algorithms)[number] {
  const known = algorithms.find((algorithm) => algorithm === name.toUpperCase());
  return known ?? reject('this server signs with HMAC, and takes neither public keys nor unsigned tokens');
}

/** Names that HTTP (RFC 9110 to 9112), browsers, proxies, tracing or this server fill with something else. */
const reserved = new RegExp(
  `^(?:${[
    'accept(?:-.*)?|access-control-.*|age|allow|alt-.*|authentication-.*|authorization|baggage|cache-control|cdn-.*',
    'connection|content-.*|cookie2?|date|dnt|early-data|etag|expect|expires|forwarded|from|front-end-https|host',
    'http2-settings|idempotency-key|if-.*|keep-alive|last-.*|link|location|max-forwards|origin|pragma|prefer|priority',
    'proxy-.*|range|referer|repr-digest|retry-after|sec-.*|server|server-timing|set-cookie|signature.*|te|trace.*',
    'trailer|transfer-encoding|upgrade(?:-.*)?|user-agent|vary|via|want-.*|warning|www-authenticate|x-amzn-.*',
    'x-forwarded-.*|x-http-method.*|x-real-ip|x-request-id|x-requested-with',
  ].join('|')})$`,
  'i',
);

/** A field name is a token (RFC 9110, section 5.1). */
function readKeyHeader(name: string): string {
  if (!/^[\w!#$%&'*+.^`|~-]{1,64}$/.test(name)) return reject();
  return reserved.test(name) ? reject('this name has a meaning of its own, so choose another') : name;
}
