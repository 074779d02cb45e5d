/**
 * What no variable can know alone. A refusal is a combination that must not start; a caution is one that is allowed
 * and most likely not meant. Each is a sentence that says what to do. A value that could not be read is undefined
 * here, and takes part in nothing: its own fault is enough.
 */

import { findWeakness, weakness } from '../auth/secret-strength.ts';
import { readConnectionUrl } from '../db/driver/connection-url.ts';
import { findManagementPort, isLoopback } from './groups/management.ts';
import { findDisabledProtections } from './protections.ts';
import type { PartialValues } from './table.ts';

const maxPerMinute = 1_000_000;

/** The sentences for which the program must not start. `isSet` says whether a variable was set at all. */
export function findErrors(
  { application, security, server, tasks }: PartialValues,
  isSet: (name: string) => boolean,
): string[] {
  const errors: string[] = [];
  if (application.environment === 'production') {
    if (application.debug) {
      errors.push(
        'APP_DEBUG=true is refused in production, where it would show stack traces to clients: set it to false.',
      );
    }
    if (application.allowedHosts?.includes('*')) {
      errors.push('APP_ALLOWED_HOSTS with * is refused in production: list the host names that clients use.');
    }
    if (application.databaseUrl === 'embedded' && !isSet('APP_DATABASE_URL')) {
      errors.push(
        'APP_DATABASE_URL is not set, and production does not start an embedded database unasked: set it to postgres://user:password@host:5432/database, or to embedded if you mean it.',
      );
    }
  }
  errors.push(...findSecretErrors(application.environment, security));
  errors.push(...findManagementErrors(application.environment, server));
  errors.push(...findHttpsErrors(security, application.disabledLayers ?? []));
  errors.push(...findTaskErrors(application.databaseUrl, tasks));
  const { sessionIdleDays = 0, sessionMaxDays = Infinity } = security;
  if (sessionIdleDays > sessionMaxDays) {
    errors.push(
      'SECURITY_SESSION_IDLE_DAYS is longer than SECURITY_SESSION_MAX_DAYS, which ends the session first: lower the one or raise the other.',
    );
  }
  if (application.corsAllowOrigins?.includes('*') && application.corsAllowCredentials) {
    errors.push(
      'APP_CORS_ALLOW_ORIGINS with * is refused together with APP_CORS_ALLOW_CREDENTIALS=true: list the origins, or set APP_CORS_ALLOW_CREDENTIALS=false.',
    );
  }
  const { rateLimitPerMinute = 0, rateLimitBurst = 0 } = security;
  if (rateLimitPerMinute + rateLimitBurst > maxPerMinute) {
    errors.push(
      `SECURITY_RATE_LIMIT_PER_MINUTE and SECURITY_RATE_LIMIT_BURST are more than ${maxPerMinute} together: lower one of them.`,
    );
  }
  return errors;
}

const howToGenerate = 'set it to the output of `openssl rand -hex 32`';

/** Whoever can guess a secret can sign in as everybody. A weak one is refused locally too, for it would be copied. */
function findSecretErrors(
  environment: PartialValues['application']['environment'],
  { jwtSecret, jwtSecrets, jwtAlgorithm }: PartialValues['security'],
): string[] {
  if (jwtSecret === undefined || jwtSecrets === undefined || jwtAlgorithm === undefined) return [];
  const errors: string[] = [];
  if (isDeployed(environment) && jwtSecret === '' && jwtSecrets.length === 0) {
    errors.push(
      `SECURITY_JWT_SECRET is not set, and ${environment} does not start without: ${howToGenerate}.`,
    );
  }
  if (jwtSecret !== '' && jwtSecrets.length > 0 && jwtSecrets[0] !== jwtSecret) {
    errors.push(
      'SECURITY_JWT_SECRET is not the first of SECURITY_JWT_SECRETS, which signs: remove it, or put it first in the list.',
    );
  }
  const named = [
    ...(jwtSecret === '' ? [] : [{ name: 'SECURITY_JWT_SECRET', secret: jwtSecret }]),
    ...jwtSecrets
      .filter((secret) => secret !== jwtSecret)
      .map((secret) => ({ name: 'A secret in SECURITY_JWT_SECRETS', secret })),
  ];
  for (const { name, secret } of named) {
    const why = weakness(secret, jwtAlgorithm);
    if (why !== undefined) errors.push(`${name} ${why}: ${howToGenerate}.`);
  }
  return errors;
}

/** A protection that somebody has switched on works, or the program does not start. */
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
        `${name}=true does nothing while SECURITY_TRUST_PROXY_HEADERS=false, since only a proxy in front can tell that a request came by HTTPS: set that to true and list the proxy in SECURITY_TRUSTED_PROXIES, or set ${name}=auto.`,
      );
    }
    const off = [layer, 'proxy-headers'].find((each) => disabledLayers.includes(each));
    if (off !== undefined) {
      errors.push(
        `${name}=true needs the layer ${off}: take ${off} out of APP_DISABLED_LAYERS, or set ${name}=auto.`,
      );
    }
  }
  return errors;
}

/** The second port must not be the first one, and what it tells of the inside must not be for everybody. */
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
      `APP_PORT and APP_MANAGEMENT_PORT are both ${port}: give one of them another port, or set APP_MANAGEMENT_PORT=off.`,
    );
  }
  if (isDeployed(environment) && isOpenToOthers(managementHost) && managementToken === '') {
    errors.push(
      `APP_MANAGEMENT_TOKEN is not set, and ${environment} does not open the management port to other machines without: ${howToGenerate}, or set APP_MANAGEMENT_HOST=127.0.0.1.`,
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

/** A guess at the token has to ask the server, which limits guesses, so it needs half of what a signing secret needs. */
const minTokenBytes = 16;

/** Jobs, their results and the locks of those who run them are in one database, which the settings may name again. */
function findTaskErrors(
  databaseUrl: PartialValues['application']['databaseUrl'],
  { brokerUrl, resultBackend }: PartialValues['tasks'],
): string[] {
  if (databaseUrl === undefined || brokerUrl === undefined || resultBackend === undefined) return [];
  const errors: string[] = [];
  if (brokerUrl !== '' && (databaseUrl === 'embedded' || databaseUrl === 'none')) {
    errors.push(
      `APP_TASKS_BROKER_URL is another way to the database of APP_DATABASE_URL, which is ${databaseUrl}: remove the one, or set the other to the URL of the same database.`,
    );
  }
  if (![databaseUrl, brokerUrl, ''].includes(resultBackend)) {
    errors.push(
      'APP_TASKS_RESULT_BACKEND is not the database of APP_DATABASE_URL, where the results of jobs stand: remove it.',
    );
  }
  return errors;
}

function isOpenToOthers(managementHost: string | undefined): boolean {
  return managementHost !== undefined && !isLoopback(managementHost);
}

function isDeployed(environment: PartialValues['application']['environment']): boolean {
  return environment === 'staging' || environment === 'production';
}

/** The sentences that an operator should read, although the program starts. */
export function findWarnings(
  { application, security, server, tasks }: PartialValues,
  isSet: (name: string) => boolean,
): string[] {
  const warnings: string[] = [
    ...findDisabledProtections({ application, security, server, tasks }),
    ...findPlaintext(application.environment, {
      APP_DATABASE_URL: application.databaseUrl,
      APP_TASKS_BROKER_URL: tasks.brokerUrl,
    }),
  ];
  const { rateLimitEnabled, rateLimitPerHour = Infinity, rateLimitPerMinute = 0 } = security;
  if (rateLimitEnabled && rateLimitPerHour < rateLimitPerMinute) {
    warnings.push(
      'SECURITY_RATE_LIMIT_PER_HOUR is lower than SECURITY_RATE_LIMIT_PER_MINUTE, so the limit a minute is never reached: raise the one or lower the other.',
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
      'SECURITY_HSTS_PRELOAD=true does nothing where Strict-Transport-Security is not sent: set SECURITY_ENABLE_HSTS and SECURITY_TRUST_PROXY_HEADERS to true.',
    );
  }
  const { bodyTimeoutSeconds = 0, requestTimeoutSeconds = Infinity } = server;
  if (bodyTimeoutSeconds > requestTimeoutSeconds) {
    warnings.push(
      'APP_BODY_TIMEOUT_SECONDS is longer than APP_REQUEST_TIMEOUT_SECONDS, which ends the request first: lower the one or raise the other.',
    );
  }
  if (
    !isDeployed(application.environment) &&
    server.managementPort !== 'off' &&
    isOpenToOthers(server.managementHost) &&
    server.managementToken === ''
  ) {
    warnings.push(
      'APP_MANAGEMENT_HOST opens the management port to other machines, where anybody reads metrics, workers and the list of jobs: set APP_MANAGEMENT_TOKEN too.',
    );
  }
  if (isDeployed(application.environment) && application.smtpUrl === '') {
    warnings.push(
      'APP_SMTP_URL is not set, so no mail is sent: password reset and e-mail verification answer 503.',
    );
  }
  if (application.smtpUrl && application.mailFrom?.includes('@localhost')) {
    warnings.push(
      'APP_MAIL_FROM is at localhost, which most mail servers refuse: set it to an address of your domain.',
    );
  }
  if (application.databaseMigrate === true && application.databaseUrl === 'none') {
    warnings.push('APP_DATABASE_MIGRATE=true does nothing while APP_DATABASE_URL=none.');
  }
  if (tasks.enabled && isSet('APP_TASKS_ENABLED') && application.databaseUrl === 'none') {
    warnings.push('APP_TASKS_ENABLED=true does nothing while APP_DATABASE_URL=none: jobs need a database.');
  }
  return warnings;
}

/** A connection that is encrypted only if the server offers it is plain text to whoever stands in between. */
function findPlaintext(
  environment: PartialValues['application']['environment'],
  urls: Readonly<Record<string, string | undefined>>,
): string[] {
  if (!isDeployed(environment)) return [];
  return Object.entries(urls).flatMap(([name, url = '']) => {
    if (!url.startsWith('postgres') || readConnectionUrl(url).tls.mode !== 'prefer') return [];
    return [
      `${name} does not require TLS, so passwords and data are sent in plain text if the server, or somebody on the way, offers none: add sslmode=verify-full or sslmode=require to it, or sslmode=disable if the network is trusted.`,
    ];
  });
}
