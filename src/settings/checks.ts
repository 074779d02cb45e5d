/**
 * Combinations of settings with which the program must not start. Each error states the problem and what to do. A value
 * that could not be read is undefined here and is not checked, because it has its own error. `warnings.ts` has the
 * combinations that are allowed but probably a mistake.
 */

import { findJwtSecretWeakness, findWeakness } from '../auth/strength/secret-strength.ts';
import { findManagementPort, isLoopback } from './groups/management.ts';
import type { PartialValues } from './table.ts';

const maxPerMinute = 1_000_000;

/** Returns a sentence for each reason not to start. `isSet` returns whether a variable was set at all. */
export function findErrors(
  { application, security, server, tasks }: PartialValues,
  isSet: (name: string) => boolean,
): string[] {
  const errors: string[] = [];
  if (application.environment === 'production') {
    if (application.debug) {
      errors.push(
        'APP_DEBUG=true is not allowed in production, because clients would see stack traces: set it to false.',
      );
    }
    if (application.allowedHosts?.includes('*')) {
      errors.push(
        'APP_ALLOWED_HOSTS with * is not allowed in production: list the host names that clients use.',
      );
    }
    if (application.databaseUrl === 'embedded' && !isSet('APP_DATABASE_URL')) {
      errors.push(
        'APP_DATABASE_URL is not set, and production starts an embedded database only on request: set it to postgres://user:password@host:5432/database, or to embedded.',
      );
    }
  }
  errors.push(...findSecretErrors(application.environment, security));
  errors.push(...findManagementErrors(application.environment, server));
  errors.push(...findHttpsErrors(security, application.disabledLayers ?? []));
  errors.push(...findCircuitBreakerErrors(security, application.disabledLayers ?? []));
  errors.push(...findLoadSheddingErrors(security, application.disabledLayers ?? []));
  errors.push(...findBanErrors(security, application.disabledLayers ?? []));
  errors.push(...findTaskErrors(application.databaseUrl, tasks));
  errors.push(...findSharedStoreErrors(application, security));
  errors.push(...findGeoipErrors(application.disabledLayers ?? [], security));
  errors.push(...findAlertErrors(application, security, isSet));
  const { sessionIdleDays = 0, sessionMaxDays = Infinity } = security;
  if (sessionIdleDays > sessionMaxDays) {
    errors.push(
      'SECURITY_SESSION_IDLE_DAYS is longer than SECURITY_SESSION_MAX_DAYS, so sessions expire before they are idle for so long: lower the first or raise the second.',
    );
  }
  if (application.corsAllowOrigins?.includes('*') && application.corsAllowCredentials) {
    errors.push(
      'APP_CORS_ALLOW_ORIGINS with * is not allowed together with APP_CORS_ALLOW_CREDENTIALS=true: list the origins, or set APP_CORS_ALLOW_CREDENTIALS=false.',
    );
  }
  const { rateLimitPerMinute = 0, rateLimitBurst = 0 } = security;
  if (rateLimitPerMinute + rateLimitBurst > maxPerMinute) {
    errors.push(
      `SECURITY_RATE_LIMIT_PER_MINUTE and SECURITY_RATE_LIMIT_BURST are together more than ${maxPerMinute}: lower one of them.`,
    );
  }
  return errors;
}

/** A store that the settings name but do not configure would leave each node with a limit of its own. */
function findSharedStoreErrors(
  { databaseUrl, cacheStore }: PartialValues['application'],
  { redisEnabled, redisUrl, rateLimitStore }: PartialValues['security'],
): string[] {
  const errors: string[] = [];
  if (redisEnabled && redisUrl === '') {
    errors.push(
      'SECURITY_REDIS_ENABLED=true needs SECURITY_REDIS_URL: set it to redis://user:password@host:6379/0.',
    );
  }
  if (cacheStore === 'redis' && redisEnabled === false) {
    errors.push(
      'APP_CACHE_STORE=redis needs SECURITY_REDIS_ENABLED=true: set it, or choose auto, memory or off.',
    );
  }
  if (rateLimitStore === 'redis' && redisEnabled === false) {
    errors.push(
      'SECURITY_RATE_LIMIT_STORE=redis needs SECURITY_REDIS_ENABLED=true: set it, or choose memory or postgres.',
    );
  }
  if (rateLimitStore === 'postgres' && databaseUrl === 'none') {
    errors.push(
      'SECURITY_RATE_LIMIT_STORE=postgres needs a database, and APP_DATABASE_URL is none: change one of them.',
    );
  }
  return errors;
}

/** Returns the reasons why the lists of countries would have no effect, or reject every client. */
function findGeoipErrors(
  disabledLayers: readonly string[],
  {
    enableGeoBlocking,
    geoipDatabasePath,
    allowedCountries = [],
    blockedCountries = [],
    trustProxyHeaders,
  }: PartialValues['security'],
): string[] {
  if (!enableGeoBlocking) return [];
  const errors: string[] = [];
  if (geoipDatabasePath === '') {
    errors.push(
      'SECURITY_ENABLE_GEO_BLOCKING=true needs SECURITY_GEOIP_DATABASE_PATH: set it to the path of a .mmdb file.',
    );
  }
  if (allowedCountries.length > 0 && allowedCountries.every((code) => blockedCountries.includes(code))) {
    errors.push(
      'SECURITY_BLOCKED_COUNTRIES contains every country of SECURITY_ALLOWED_COUNTRIES, so no country is allowed: remove one of the lists.',
    );
  }
  const needed = trustProxyHeaders ? ['geo-block', 'proxy-headers'] : ['geo-block'];
  const disabled = needed.find((each) => disabledLayers.includes(each));
  if (disabled !== undefined) {
    errors.push(
      `SECURITY_ENABLE_GEO_BLOCKING=true needs the layer ${disabled}: remove ${disabled} from APP_DISABLED_LAYERS, or set SECURITY_ENABLE_GEO_BLOCKING=false.`,
    );
  }
  return errors;
}

const minWebhookSecretBytes = 32;

/** Returns the reasons why alerts that are switched on could not be raised or not be delivered as the settings require. */
function findAlertErrors(
  { environment, disabledLayers = [] }: PartialValues['application'],
  security: PartialValues['security'],
  isSet: (name: string) => boolean,
): string[] {
  const { enableAlerting, alertWebhookUrl: url, alertWebhookSecret: secret, rateLimitEnabled } = security;
  const errors: string[] = [];
  if (enableAlerting && disabledLayers.includes('metrics')) {
    errors.push(
      'SECURITY_ENABLE_ALERTING=true needs the layer metrics, which counts the responses: remove metrics from APP_DISABLED_LAYERS, or set SECURITY_ENABLE_ALERTING=false.',
    );
  }
  if (enableAlerting && rateLimitEnabled === false && isSet('SECURITY_ALERT_RATE_LIMIT_THRESHOLD')) {
    errors.push(
      'SECURITY_ALERT_RATE_LIMIT_THRESHOLD is set, and no request exceeds a limit with SECURITY_RATE_LIMIT_ENABLED=false: remove one of them.',
    );
  }
  if (!enableAlerting || !url) return errors;
  if (secret === '') {
    errors.push(
      `SECURITY_ALERT_WEBHOOK_URL needs SECURITY_ALERT_WEBHOOK_SECRET, which signs the messages: ${howToGenerate}.`,
    );
  }
  if (isDeployed(environment) && !/^https:/i.test(url) && security.alertWebhookAllowHttp === false) {
    errors.push(
      `SECURITY_ALERT_WEBHOOK_URL does not use https, so ${environment} would send alerts in plain text: use https, or set SECURITY_ALERT_WEBHOOK_ALLOW_HTTP=true if you trust the network.`,
    );
  }
  if (!secret) return errors;
  const why =
    secret === security.jwtSecret || security.jwtSecrets?.includes(secret)
      ? 'is also a secret of access tokens, with which the receiver of the alerts could sign in as every user'
      : findWeakness(secret, minWebhookSecretBytes, 'a signature');
  if (why !== undefined) errors.push(`SECURITY_ALERT_WEBHOOK_SECRET ${why}: ${howToGenerate}.`);
  return errors;
}

const howToGenerate = 'set it to the output of `openssl rand -hex 32`';

/** An attacker who guesses a secret can sign in as any user. A weak one is rejected in local too, because it would be copied to production. */
function findSecretErrors(
  environment: PartialValues['application']['environment'],
  { jwtSecret, jwtSecrets, jwtAlgorithm }: PartialValues['security'],
): string[] {
  if (jwtSecret === undefined || jwtSecrets === undefined || jwtAlgorithm === undefined) return [];
  const errors: string[] = [];
  if (isDeployed(environment) && jwtSecret === '' && jwtSecrets.length === 0) {
    errors.push(
      `SECURITY_JWT_SECRET is not set, and ${environment} does not start without it: ${howToGenerate}.`,
    );
  }
  if (jwtSecret !== '' && jwtSecrets.length > 0 && jwtSecrets[0] !== jwtSecret) {
    errors.push(
      'SECURITY_JWT_SECRET differs from the first secret of SECURITY_JWT_SECRETS, which signs tokens: remove it, or put it first in the list.',
    );
  }
  const namedSecrets = [
    ...(jwtSecret === '' ? [] : [{ name: 'SECURITY_JWT_SECRET', secret: jwtSecret }]),
    ...jwtSecrets
      .filter((secret) => secret !== jwtSecret)
      .map((secret) => ({ name: 'A secret in SECURITY_JWT_SECRETS', secret })),
  ];
  for (const { name, secret } of namedSecrets) {
    const why = findJwtSecretWeakness(secret, jwtAlgorithm);
    if (why !== undefined) errors.push(`${name} ${why}: ${howToGenerate}.`);
  }
  return errors;
}

/** A protection that is explicitly switched on either works or stops the start. */
function findHttpsErrors(
  { enableHsts, enforceHttps, trustProxyHeaders }: PartialValues['security'],
  disabledLayers: readonly string[],
): string[] {
  const errors: string[] = [];
  for (const [name, value, layer] of [
    ['SECURITY_ENABLE_HSTS', enableHsts, 'security-headers'],
    ['SECURITY_ENFORCE_HTTPS', enforceHttps, 'https-policy'],
  ] as const) {
    if (value !== true) continue;
    if (trustProxyHeaders === false) {
      errors.push(
        `${name}=true has no effect with SECURITY_TRUST_PROXY_HEADERS=false, because only the proxy knows whether a request came over HTTPS: set SECURITY_TRUST_PROXY_HEADERS=true and list the proxy in SECURITY_TRUSTED_PROXIES, or set ${name}=auto.`,
      );
    }
    const disabled = [layer, 'proxy-headers'].find((each) => disabledLayers.includes(each));
    if (disabled !== undefined) {
      errors.push(
        `${name}=true needs the layer ${disabled}: remove ${disabled} from APP_DISABLED_LAYERS, or set ${name}=auto.`,
      );
    }
  }
  return errors;
}

/** As for HTTPS: the circuits of routes that are switched on need their layer. */
function findCircuitBreakerErrors(
  { enableCircuitBreaker }: PartialValues['security'],
  disabledLayers: readonly string[],
): string[] {
  if (enableCircuitBreaker !== true || !disabledLayers.includes('circuit-breaker')) return [];
  return [
    'SECURITY_ENABLE_CIRCUIT_BREAKER=true needs the layer circuit-breaker: remove circuit-breaker from APP_DISABLED_LAYERS, or set SECURITY_ENABLE_CIRCUIT_BREAKER=false.',
  ];
}

function findLoadSheddingErrors(
  { enableDdosProtection }: PartialValues['security'],
  disabledLayers: readonly string[],
): string[] {
  if (enableDdosProtection !== true || !disabledLayers.includes('load-shedding')) return [];
  return [
    'SECURITY_ENABLE_DDOS_PROTECTION=true needs the layer load-shedding: remove load-shedding from APP_DISABLED_LAYERS, or set SECURITY_ENABLE_DDOS_PROTECTION=false.',
  ];
}

/** Returns the reasons why the ban list would ban no client, or the wrong ones. */
function findBanErrors(
  { enableBanList, banSeconds = 0, banMaxSeconds = Infinity, trustProxyHeaders }: PartialValues['security'],
  disabledLayers: readonly string[],
): string[] {
  if (!enableBanList) return [];
  const errors: string[] = [];
  const needed = trustProxyHeaders ? ['ban-list', 'proxy-headers'] : ['ban-list'];
  const disabled = needed.find((each) => disabledLayers.includes(each));
  if (disabled !== undefined) {
    errors.push(
      `SECURITY_ENABLE_BAN_LIST=true needs the layer ${disabled}: remove ${disabled} from APP_DISABLED_LAYERS, or set SECURITY_ENABLE_BAN_LIST=false.`,
    );
  }
  if (banSeconds > banMaxSeconds) {
    errors.push(
      'SECURITY_BAN_SECONDS is longer than SECURITY_BAN_MAX_SECONDS: lower the first or raise the second.',
    );
  }
  return errors;
}

/** The management port must differ from the public one, and other machines must not reach it without a strong token. */
function findManagementErrors(
  environment: PartialValues['application']['environment'],
  { port, managementPort, managementHost, managementToken }: PartialValues['server'],
): string[] {
  if (environment === undefined || managementPort === undefined) return [];
  const management = findManagementPort(managementPort, environment);
  if (management === null) return [];
  const errors: string[] = [];
  if (management.port !== 0 && management.port === port) {
    errors.push(
      `APP_PORT and APP_MANAGEMENT_PORT are both ${port}: change one of them, or set APP_MANAGEMENT_PORT=off.`,
    );
  }
  if (isDeployed(environment) && isOpenToOthers(managementHost) && managementToken === '') {
    errors.push(
      `APP_MANAGEMENT_TOKEN is not set, and ${environment} does not open the management port to other machines without it: ${howToGenerate}, or set APP_MANAGEMENT_HOST=127.0.0.1.`,
    );
  }
  if (isOpenToOthers(managementHost) && managementToken) {
    const why = findWeakness(managementToken, minTokenBytes, 'a token');
    if (why !== undefined) {
      errors.push(
        `APP_MANAGEMENT_TOKEN ${why}, and other machines reach the management port: ${howToGenerate}.`,
      );
    }
  }
  return errors;
}

/** Half of what a signing secret needs, because each guess at the token is a request, and the server limits them. */
const minTokenBytes = 16;

/** Jobs, their results and the locks of the runners are in one database; the settings may repeat its URL. */
function findTaskErrors(
  databaseUrl: PartialValues['application']['databaseUrl'],
  { brokerUrl, resultBackend }: PartialValues['tasks'],
): string[] {
  if (databaseUrl === undefined || brokerUrl === undefined || resultBackend === undefined) return [];
  const errors: string[] = [];
  if (brokerUrl !== '' && (databaseUrl === 'embedded' || databaseUrl === 'none')) {
    errors.push(
      `APP_TASKS_BROKER_URL is a second URL of the database of APP_DATABASE_URL, which is ${databaseUrl}: remove the first, or set the second to the URL of the same database.`,
    );
  }
  if (![databaseUrl, brokerUrl, ''].includes(resultBackend)) {
    errors.push(
      'APP_TASKS_RESULT_BACKEND differs from APP_DATABASE_URL, whose database holds the results of jobs: remove it.',
    );
  }
  return errors;
}

/** Whether other machines reach the management port. */
export function isOpenToOthers(managementHost: string | undefined): boolean {
  return managementHost !== undefined && !isLoopback(managementHost);
}

export function isDeployed(environment: PartialValues['application']['environment']): boolean {
  return environment === 'staging' || environment === 'production';
}
