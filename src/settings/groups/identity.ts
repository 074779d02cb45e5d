import { boundedText, integer, kind, list, reject } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

const maxSecretLength = 1024;

/** Authentication: how access tokens are signed, how long sessions last, and which header has the API key. */
export const identitySettings = {
  jwtSecret: variable('SECURITY_JWT_SECRET', boundedText(maxSecretLength), {
    default: '',
    aliases: ['JWT_SECRET'],
    secret: 'value',
    about:
      'Secret that signs access tokens: use the output of `openssl rand -hex 32`. Staging and production do not start without it; local and test generate one and keep it in APP_DATA_DIR.',
  }),
  jwtSecrets: variable('SECURITY_JWT_SECRETS', list('secrets', readSecret), {
    default: '[]',
    secret: 'value',
    about:
      'Several secrets, for rotation without signing users out: the first signs, all verify. Use it instead of SECURITY_JWT_SECRET, or with the same secret first.',
  }),
  jwtAlgorithm: variable('SECURITY_JWT_ALGORITHM', kind('one of HS256, HS384, HS512', readAlgorithm), {
    default: 'HS256',
    about:
      'The algorithm that signs access tokens; tokens with any other are rejected (RFC 7518, section 3.2). A secret must have at least as many bytes as the hash: 32, 48 or 64.',
  }),
  jwtExpiryMinutes: variable('SECURITY_JWT_EXPIRY_MINUTES', integer(1, 1440, 'minutes'), {
    default: '60',
    about: 'Lifetime of an access token. A client gets a new one with its refresh token.',
  }),
  jwtIssuer: variable('SECURITY_JWT_ISSUER', boundedText(200), {
    default: 'strata',
    about: 'Issuer (`iss`) of access tokens. Tokens of other issuers are rejected.',
  }),
  jwtAudience: variable('SECURITY_JWT_AUDIENCE', boundedText(200), {
    default: 'strata',
    about: 'Audience (`aud`) of access tokens. Tokens for other audiences are rejected.',
  }),
  apiKeyHeader: variable(
    'SECURITY_API_KEY_HEADER',
    kind('the name of a header field such as X-API-Key', readKeyHeader),
    { default: 'X-API-Key', about: 'Header field that contains the API key of a request.' },
  ),
  sessionIdleDays: variable('SECURITY_SESSION_IDLE_DAYS', integer(1, 3650, 'days'), {
    default: '14',
    about: 'A session expires when it has not been refreshed for this time.',
  }),
  sessionMaxDays: variable('SECURITY_SESSION_MAX_DAYS', integer(1, 3650, 'days'), {
    default: '90',
    about: 'A session expires after this time, even if it is refreshed.',
  }),
  sessionRecheckSeconds: variable('SECURITY_SESSION_RECHECK_SECONDS', integer(0, 300, 'seconds'), {
    default: '15',
    about:
      'How long a checked credential is cached before the database is asked again. A revoked session, a changed role or a deleted user takes effect in all processes within this time; the workers of the node, and with Redis all nodes, are notified and usually apply it within milliseconds. 0 asks on every request.',
  }),
  rateLimitUserPerMinute: variable('SECURITY_RATE_LIMIT_USER_PER_MINUTE', integer(1, 1_000_000, 'requests'), {
    default: '120',
    about: 'Requests per user in any 60 seconds, from all addresses together.',
  }),
};

function readSecret(secret: string): string {
  const fits = secret !== '' && secret.length <= maxSecretLength && !/\p{Cc}/u.test(secret);
  return fits ? secret : reject();
}

const algorithms = ['HS256', 'HS384', 'HS512'] as const;

function readAlgorithm(name: string): (typeof algorithms)[number] {
  const known = algorithms.find((algorithm) => algorithm === name.toUpperCase());
  return known ?? reject('this server supports only HMAC, neither public keys nor unsigned tokens');
}

/** Names that HTTP (RFC 9110 to 9112), browsers, proxies, tracing or this server use for other values. */
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
  return reserved.test(name) ? reject('this header has another meaning; choose a different name') : name;
}
