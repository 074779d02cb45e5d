/**
 * Combinations of settings that are allowed but probably a mistake. Each warning states what happens and what to do; the
 * program starts and logs it. In staging and production, every disabled protection is one of them: a proxy in front
 * may do its work, but it is never off silently.
 */

import { readConnectionUrl } from '../db/driver/connection-url.ts';
import { readRedisUrl } from '../redis/redis-url.ts';
import { isDeployed, isOpenToOthers } from './checks.ts';
import { isLoopback } from './groups/management.ts';
import type { LayerName } from './layer-names.ts';
import type { PartialValues } from './table.ts';

/** Returns a sentence for each probable mistake. `isSet` returns whether a variable was set at all. */
export function findWarnings(
  { application, security, server, tasks }: PartialValues,
  isSet: (name: string) => boolean,
): string[] {
  const warnings: string[] = [
    ...findDisabledProtections(application, security),
    ...findPlaintext(application.environment, {
      APP_DATABASE_URL: application.databaseUrl,
      APP_TASKS_BROKER_URL: tasks.brokerUrl,
    }),
  ];
  const { rateLimitEnabled, rateLimitPerHour = Infinity, rateLimitPerMinute = 0 } = security;
  if (rateLimitEnabled && rateLimitPerHour < rateLimitPerMinute) {
    warnings.push(
      'SECURITY_RATE_LIMIT_PER_HOUR is lower than SECURITY_RATE_LIMIT_PER_MINUTE, so the limit per minute is never reached: raise the first or lower the second.',
    );
  }
  if (security.trustProxyHeaders && security.trustedProxies?.some((range) => range.endsWith('/0'))) {
    warnings.push(
      'SECURITY_TRUSTED_PROXIES trusts every address, so each client can claim any address, scheme and host: list the addresses of your proxies.',
    );
  }
  const sendsHsts =
    security.trustProxyHeaders &&
    (security.enableHsts === 'auto' ? application.environment === 'production' : security.enableHsts);
  if (security.hstsPreload && sendsHsts === false) {
    warnings.push(
      'SECURITY_HSTS_PRELOAD=true has no effect, because Strict-Transport-Security is not sent: set SECURITY_ENABLE_HSTS and SECURITY_TRUST_PROXY_HEADERS to true.',
    );
  }
  const { bodyTimeoutSeconds = 0, requestTimeoutSeconds = Infinity } = server;
  if (bodyTimeoutSeconds > requestTimeoutSeconds) {
    warnings.push(
      'APP_BODY_TIMEOUT_SECONDS is longer than APP_REQUEST_TIMEOUT_SECONDS, so the request times out first: lower the first or raise the second.',
    );
  }
  const { keepAliveSeconds = 0, shutdownGraceSeconds = Infinity } = server;
  if (keepAliveSeconds > shutdownGraceSeconds) {
    warnings.push(
      'APP_KEEP_ALIVE_SECONDS is longer than APP_SHUTDOWN_GRACE_SECONDS, so a reload closes idle connections before their clients expect it, and a request that is sent at that moment is lost: raise the second or lower the first.',
    );
  }
  if (
    !isDeployed(application.environment) &&
    server.managementPort !== 'off' &&
    isOpenToOthers(server.managementHost) &&
    server.managementToken === ''
  ) {
    warnings.push(
      'APP_MANAGEMENT_HOST opens the management port to other machines, which can then read metrics, workers and the list of jobs: set APP_MANAGEMENT_TOKEN too.',
    );
  }
  if (isDeployed(application.environment) && application.smtpUrl === '') {
    warnings.push(
      'APP_SMTP_URL is not set, so no mail is sent, and password reset and e-mail verification answer 503: set it to the URL of a mail server.',
    );
  }
  if (application.smtpUrl && application.mailFrom?.includes('@localhost')) {
    warnings.push(
      'APP_MAIL_FROM is an address at localhost, which most mail servers reject: set it to an address of your domain.',
    );
  }
  if (application.databaseMigrate === true && application.databaseUrl === 'none') {
    warnings.push(
      'APP_DATABASE_MIGRATE=true has no effect with APP_DATABASE_URL=none: remove the first or change the second.',
    );
  }
  if (security.redisUrl && security.redisEnabled === false && isSet('SECURITY_REDIS_URL')) {
    warnings.push(
      'SECURITY_REDIS_URL is not used, because SECURITY_REDIS_ENABLED is false: set it to true, or remove the URL.',
    );
  }
  if (security.rateLimitEnabled === false && isSet('SECURITY_RATE_LIMIT_STORE')) {
    warnings.push('SECURITY_RATE_LIMIT_STORE has no effect with SECURITY_RATE_LIMIT_ENABLED=false.');
  }
  if (isDeployed(application.environment) && security.redisEnabled && isPlainRedis(security.redisUrl)) {
    warnings.push(
      'SECURITY_REDIS_URL does not use TLS, so its password and cached data are sent in plain text: use rediss://, or a network that you trust.',
    );
  }
  if (tasks.enabled && isSet('APP_TASKS_ENABLED') && application.databaseUrl === 'none') {
    warnings.push('APP_TASKS_ENABLED=true has no effect with APP_DATABASE_URL=none: jobs need a database.');
  }
  warnings.push(...findGeoipWarnings(security), ...findBanWarnings(application.environment, security));
  warnings.push(...findAlertWarnings(security, tasks));
  return warnings;
}

/** Whether the URL is that of a Redis on another machine without TLS. */
function isPlainRedis(url = ''): boolean {
  if (url === '') return false;
  const { tls, hosts } = readRedisUrl(url);
  return !tls && !hosts.every(({ host }) => isLoopback(host));
}

function findAlertWarnings(
  { enableAlerting, alertWebhookUrl }: PartialValues['security'],
  tasks: PartialValues['tasks'],
): string[] {
  if (!alertWebhookUrl) return [];
  if (enableAlerting === false) {
    return [
      'SECURITY_ALERT_WEBHOOK_URL has no effect with SECURITY_ENABLE_ALERTING=false: set SECURITY_ENABLE_ALERTING to true, or remove the URL.',
    ];
  }
  if (enableAlerting && tasks.enabled === false) {
    return [
      'SECURITY_ALERT_WEBHOOK_URL is called by jobs, and this server runs none with APP_TASKS_ENABLED=false: run `npm run worker`, or alerts are sent with a delay and from memory.',
    ];
  }
  return [];
}

function findGeoipWarnings({
  enableGeoBlocking,
  allowedCountries = [],
  blockedCountries = [],
  unknownCountries,
}: PartialValues['security']): string[] {
  const hasLists = allowedCountries.length > 0 || blockedCountries.length > 0;
  if (enableGeoBlocking === false && hasLists) {
    return [
      'SECURITY_ALLOWED_COUNTRIES and SECURITY_BLOCKED_COUNTRIES have no effect with SECURITY_ENABLE_GEO_BLOCKING=false: set it to true, or remove the lists.',
    ];
  }
  if (!enableGeoBlocking) return [];
  if (!hasLists && unknownCountries !== 'block') {
    return [
      'SECURITY_ENABLE_GEO_BLOCKING=true rejects no request, because neither SECURITY_BLOCKED_COUNTRIES nor SECURITY_ALLOWED_COUNTRIES is set: countries are only logged and counted.',
    ];
  }
  const both = allowedCountries.filter((code) => blockedCountries.includes(code));
  if (both.length === 0) return [];
  return [
    `SECURITY_ALLOWED_COUNTRIES and SECURITY_BLOCKED_COUNTRIES both contain ${both.join(', ')}, which is blocked: remove it from one of the lists.`,
  ];
}

function findBanWarnings(
  environment: PartialValues['application']['environment'],
  {
    enableBanList,
    trustProxyHeaders,
    rateLimitEnabled,
    banRateLimitViolations,
    banAuthFailures,
  }: PartialValues['security'],
): string[] {
  if (!enableBanList) return [];
  const warnings: string[] = [];
  if (isDeployed(environment) && trustProxyHeaders === false) {
    warnings.push(
      'SECURITY_ENABLE_BAN_LIST=true without SECURITY_TRUST_PROXY_HEADERS: behind a proxy with a public address, all clients have that address and are banned together. Set it to true and list the proxy in SECURITY_TRUSTED_PROXIES, unless clients connect directly.',
    );
  }
  if (banAuthFailures === 0 && (banRateLimitViolations === 0 || rateLimitEnabled === false)) {
    warnings.push(
      'SECURITY_ENABLE_BAN_LIST=true bans clients only by hand, because no offence counts: set SECURITY_BAN_AUTH_FAILURES or SECURITY_BAN_RATE_LIMIT_VIOLATIONS.',
    );
  }
  return warnings;
}

/** With `sslmode=prefer`, the default, an attacker between client and server can switch encryption off. */
function findPlaintext(
  environment: PartialValues['application']['environment'],
  urls: Readonly<Record<string, string | undefined>>,
): string[] {
  if (!isDeployed(environment)) return [];
  return Object.entries(urls).flatMap(([name, url = '']) => {
    if (!url.startsWith('postgres') || readConnectionUrl(url).tls.mode !== 'prefer') return [];
    return [
      `${name} does not require TLS, so passwords and data are sent in plain text if the server, or an attacker on the network, offers no TLS: add sslmode=verify-full or sslmode=require, or sslmode=disable if the network is trusted.`,
    ];
  });
}

/** The consequence of disabling each protective layer. The other layers only add or count something, or cannot be disabled. */
const consequences: Readonly<Partial<Record<LayerName, string>>> = {
  'request-log': 'requests are not logged',
  deadline: 'a slow request keeps its resources without a limit',
  'proxy-headers': 'all clients behind a proxy count as one address',
  'security-headers': 'responses have no security headers',
  'trusted-host': 'requests for any Host are answered',
  'https-policy': 'plain HTTP is answered',
  'rate-limit': 'requests per address are not limited',
  'caller-limit': 'the limits of users and routes, such as those of login and registration, are not enforced',
  'content-validation': 'bodies are read before their type is checked',
  idempotency: 'a request that is sent twice is executed twice',
};

/** Returns a sentence for each protection that is disabled in staging or production. */
function findDisabledProtections(
  { environment, disabledLayers = [] }: PartialValues['application'],
  security: PartialValues['security'],
): string[] {
  if (!isDeployed(environment)) return [];
  const warnings = disabledLayers.flatMap((layer) => {
    const consequence = consequences[layer];
    return consequence === undefined
      ? []
      : [
          `APP_DISABLED_LAYERS turns off ${layer} in ${environment}, so ${consequence}: remove it from the list, unless a proxy in front of this server does its work.`,
        ];
  });
  const warnIf = (isOff: boolean, name: string, consequence: string) => {
    if (isOff)
      warnings.push(`${name}=false in ${environment}: ${consequence}. Set it to true, or remove it.`);
  };
  warnIf(
    security.rateLimitEnabled === false,
    'SECURITY_RATE_LIMIT_ENABLED',
    'no rate limit is enforced, neither for addresses nor for users nor for routes such as login and registration',
  );
  warnIf(security.enforceHttps === false, 'SECURITY_ENFORCE_HTTPS', 'plain HTTP is answered');
  warnIf(security.enableHsts === false, 'SECURITY_ENABLE_HSTS', 'browsers may use plain HTTP again');
  warnIf(
    security.blockNullBytes === false,
    'SECURITY_BLOCK_NULL_BYTES',
    'URLs with encoded control characters are accepted',
  );
  return warnings;
}
