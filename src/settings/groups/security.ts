import * as z from 'zod';
import { autoOrBoolean, boolean, choice, headerText, integer } from '../kinds/kind.ts';
import { addressRanges } from '../kinds/network.ts';
import { variable } from '../variable.ts';
import { alertSettings } from './alerts.ts';
import { banSettings } from './bans.ts';
import { circuitBreakerSettings } from './circuit-breaker.ts';
import { geoipSettings } from './geoip.ts';
import { identitySettings } from './identity.ts';
import { loadSheddingSettings } from './load-shedding.ts';
import { sharedSettings } from './shared.ts';

const maxRequests = 1_000_000;
const tebibyte = 1_099_511_627_776;

/** Protection of the server: rate limits, body sizes, header policies, trusted proxies, and authentication. */
export const security = z.object({
  rateLimitEnabled: variable('SECURITY_RATE_LIMIT_ENABLED', boolean(), {
    default: 'true',
    about: 'Limit the requests per client address, per user, and to routes with their own limits.',
  }),
  rateLimitPerMinute: variable('SECURITY_RATE_LIMIT_PER_MINUTE', integer(1, maxRequests, 'requests'), {
    default: '60',
    about: 'Requests per client address in any 60 seconds, plus SECURITY_RATE_LIMIT_BURST.',
  }),
  rateLimitPerHour: variable('SECURITY_RATE_LIMIT_PER_HOUR', integer(1, maxRequests, 'requests'), {
    default: '1000',
    about: 'Requests per client address in any 3600 seconds.',
  }),
  rateLimitBurst: variable('SECURITY_RATE_LIMIT_BURST', integer(0, maxRequests, 'requests'), {
    default: '10',
    about: 'Added to SECURITY_RATE_LIMIT_PER_MINUTE. Their sum is at most 1000000.',
  }),
  rateLimitRegistrationsPerHour: variable(
    'SECURITY_RATE_LIMIT_REGISTRATIONS_PER_HOUR',
    integer(1, maxRequests, 'registrations'),
    {
      default: '20',
      about:
        'Users that one address may register in any 3600 seconds. Each registration costs a password hash and a mail to an unconfirmed address.',
    },
  ),
  rateLimitMaxClients: variable('SECURITY_RATE_LIMIT_MAX_CLIENTS', integer(1, 10_000_000), {
    default: '100000',
    about:
      'Number of clients that the rate limiter remembers, which bounds its memory. The client that has been idle longest is forgotten first.',
  }),
  rateLimitOnFailure: variable('SECURITY_RATE_LIMIT_ON_FAILURE', choice(['open', 'closed']), {
    default: 'open',
    about:
      'The decision while the store that counts requests does not answer. With redis or postgres: the node counts alone (open), or requests get 503 (closed). With memory and several workers, where the primary counts: requests are admitted (open) or get 503 (closed).',
  }),
  maxUploadSize: variable('SECURITY_MAX_UPLOAD_SIZE', integer(1, tebibyte, 'bytes'), {
    default: '52428800',
    about: 'Maximum size of an uploaded body. A route can have its own limit.',
  }),
  maxRequestSize: variable('SECURITY_MAX_REQUEST_SIZE', integer(1, tebibyte, 'bytes'), {
    default: '1048576',
    about: 'Maximum size of any other body. A route can have its own limit.',
  }),
  blockNullBytes: variable('SECURITY_BLOCK_NULL_BYTES', boolean(), {
    default: 'true',
    about: 'Reject URLs with encoded null bytes or other control characters.',
  }),
  enableHsts: variable('SECURITY_ENABLE_HSTS', autoOrBoolean(), {
    default: 'auto',
    about:
      'Send Strict-Transport-Security (RFC 6797) in responses to requests that a trusted proxy received over HTTPS. `auto` does so in production.',
  }),
  hstsPreload: variable('SECURITY_HSTS_PRELOAD', boolean(), {
    default: 'false',
    about:
      'Add `preload` to Strict-Transport-Security. Browsers then keep the domain on HTTPS for years, whatever you change: see hstspreload.org.',
  }),
  enforceHttps: variable('SECURITY_ENFORCE_HTTPS', autoOrBoolean(), {
    default: 'auto',
    about:
      'Redirect or reject requests that a trusted proxy received over plain HTTP. `auto` does so in production.',
  }),
  enableCsp: variable('SECURITY_ENABLE_CSP', boolean(), {
    default: 'false',
    about:
      'Send SECURITY_CSP_POLICY with every response, in addition to the built-in policy, which forbids everything. Browsers enforce both.',
  }),
  cspPolicy: variable('SECURITY_CSP_POLICY', headerText(), {
    default: "default-src 'self'",
    about: 'The Content-Security-Policy for SECURITY_ENABLE_CSP.',
  }),
  trustedProxies: variable('SECURITY_TRUSTED_PROXIES', addressRanges(), {
    default: '["127.0.0.1","::1"]',
    about: 'Proxies whose forwarded headers are trusted.',
  }),
  trustProxyHeaders: variable('SECURITY_TRUST_PROXY_HEADERS', boolean(), {
    default: 'false',
    about:
      'Read client address, scheme and host from X-Forwarded-* and Forwarded (RFC 7239) of trusted proxies.',
  }),
  serverHeader: variable('SECURITY_SERVER_HEADER', headerText(), {
    default: '',
    about: 'Value of the Server header. If it is not set, the header is not sent.',
  }),
  enablePrometheus: variable('SECURITY_ENABLE_PROMETHEUS', boolean(), {
    default: 'false',
    about:
      'Also serve the metrics of all workers at /metrics on the public port. They show all clients which routes are called and how often.',
  }),
  ...banSettings,
  ...circuitBreakerSettings,
  ...loadSheddingSettings,
  ...sharedSettings,
  ...geoipSettings,
  ...alertSettings,
  ...identitySettings,
});
