/** The routes: each feature made with what it needs, mounted below the API prefix, and shown in the document. */

import { createPasswordHasher, type PasswordHasher } from './auth/password.ts';
import type { Scope } from './auth/principal.ts';
import type { Database } from './db/database.ts';
import { createHealth, type HealthCheck } from './features/health/health.ts';
import { healthRoutes } from './features/health/routes.ts';
import { createAccount } from './features/identity/account/account.ts';
import { accountRoutes } from './features/identity/account/routes.ts';
import { createApiKeys } from './features/identity/api-keys/api-keys.ts';
import { apiKeysRoutes } from './features/identity/api-keys/routes.ts';
import { createAttempts } from './features/identity/attempts/attempts.ts';
import { createAuth } from './features/identity/auth/auth.ts';
import { authRoutes } from './features/identity/auth/routes.ts';
import { usersRoutes } from './features/identity/users/routes.ts';
import { createUsers } from './features/identity/users/users.ts';
import { createWelcome } from './features/identity/users/welcome.ts';
import { metaRoutes } from './features/meta/routes.ts';
import { metricsRoutes } from './features/metrics/routes.ts';
import { createPosts } from './features/posts/posts.ts';
import { postsRoutes } from './features/posts/routes.ts';
import { tasksRoutes } from './features/tasks/routes.ts';
import { createTasks } from './features/tasks/tasks.ts';
import { uploadsRoutes } from './features/uploads/routes.ts';
import { createUploads, uploadsFolder } from './features/uploads/uploads.ts';
import { mount, type Route } from './http/route.ts';
import { createQueue, type Queue } from './jobs/queue.ts';
import { type MailQueue, noMail } from './mail/mail-queue.ts';
import type { Logger } from './observability/logger.ts';
import type { Metrics, MetricsSnapshot } from './observability/metrics/metrics.ts';
import { createDocsRoutes } from './openapi/docs-page.ts';
import {
  createOpenApiDocument,
  createOpenApiDocumentInPieces,
  type DocumentOptions,
  type OpenApiDocument,
} from './openapi/document.ts';
import type { Identity } from './program/identity.ts';
import type { Settings } from './settings/load.ts';
import { taskDefinitions } from './tasks.ts';

export interface RouteParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly database: Database;
  readonly identity: Identity;
  /** Where everything is counted. */
  readonly metrics: Metrics;
  /** What all workers have counted; by default, what this process has. */
  readonly fleetMetrics?: () => Promise<MetricsSnapshot>;
  /** What readiness asks. */
  readonly healthChecks?: readonly HealthCheck[];
  /** The way for mails to leave; by default there is none. */
  readonly mail?: MailQueue;
  /** Where jobs are enqueued; by default one that takes the tasks of the application. */
  readonly queue?: Queue;
  /** By default one with the parameters for production; tests bring a cheap one. */
  readonly passwords?: PasswordHasher;
  /** Routes beside the features', below the API prefix: tests and benchmarks add theirs. */
  readonly extraRoutes?: readonly Route[];
}

const tags = [
  { name: 'auth', description: 'Signing in, and what one can sign in with.' },
  { name: 'users', description: 'People who have an account.' },
  { name: 'posts', description: 'What they write.' },
  { name: 'uploads', description: 'Files for something to be done with them in the background.' },
  { name: 'tasks', description: 'Work that is done in the background.' },
  { name: 'health', description: 'Probes for the platform; exempt from the rate limit.' },
  { name: 'meta', description: 'What this service is.' },
];

const scopeDescriptions: Readonly<Record<Scope, string>> = {
  'users:read': 'Read the account of the user.',
  'users:write': 'Change the account of the user, which the answer shows.',
  'posts:write': 'Write, change and delete posts of the user.',
  'tasks:read': 'Read and watch tasks of the user.',
  'tasks:write': 'Start and cancel tasks of the user.',
};

/** Every route that the application answers, with its full path. */
export function createRoutes(parts: RouteParts): Route[] {
  const api = mount(parts.settings.application.apiPrefix, [
    ...featureRoutes(parts),
    ...(parts.extraRoutes ?? []),
  ]);
  const { settings, metrics, fleetMetrics = async () => metrics.snapshot() } = parts;
  const { projectName, docsUrl, redocUrl, openapiUrl } = settings.application;
  return [
    ...api,
    ...(settings.security.enablePrometheus ? metricsRoutes({ collect: fleetMetrics }) : []),
    ...createDocsRoutes({
      document: () => createOpenApiDocumentInPieces(documentOptions(settings, api)),
      ...{ projectName, docsUrl, redocUrl, openapiUrl },
    }),
  ];
}

/** The OpenAPI document of the given routes. */
export function describeRoutes(settings: Settings, routes: readonly Route[]): OpenApiDocument {
  return createOpenApiDocument(documentOptions(settings, routes));
}

function documentOptions({ application, security }: Settings, routes: readonly Route[]): DocumentOptions {
  return {
    routes,
    info: {
      title: application.projectName,
      description: application.projectDescription,
      version: application.projectVersion,
    },
    environment: application.environment,
    tags,
    security: {
      tokenUrl: `${application.apiPrefix}/auth/login`,
      refreshUrl: `${application.apiPrefix}/auth/refresh`,
      apiKeyHeader: security.apiKeyHeader,
      scopes: scopeDescriptions,
    },
  };
}

function featureRoutes({
  settings,
  log,
  database,
  identity,
  healthChecks = [],
  mail = noMail,
  queue = createQueue({ definitions: taskDefinitions }),
  passwords = createPasswordHasher(),
}: RouteParts): Route[] {
  const { application, security } = settings;
  const prefix = application.apiPrefix;
  const health = createHealth({
    environment: application.environment,
    version: application.projectVersion,
    checks: healthChecks,
    log: log.named('health'),
  });
  const attempts = createAttempts({ database, log: log.named('auth') });
  const auth = createAuth({
    ...identity,
    database,
    passwords,
    attempts,
    log: log.named('auth'),
    realm: application.projectName,
    accessTokenSeconds: security.jwtExpiryMinutes * 60,
    idleSeconds: security.sessionIdleDays * 86_400,
    maxSeconds: security.sessionMaxDays * 86_400,
  });
  const apiKeys = createApiKeys({
    ...identity,
    database,
    auth,
    log: log.named('auth'),
  });
  const account = createAccount({
    database,
    passwords,
    attempts,
    auth,
    apiKeys,
    mail,
    log: log.named('account'),
    service: application.projectName,
    publicUrl: application.publicUrl,
    prefix,
  });
  const users = createUsers({
    ...identity,
    database,
    passwords,
    attempts,
    auth,
    account,
    log: log.named('users'),
    service: application.projectName,
  });
  const welcome = createWelcome({ database, queue, mail, service: application.projectName });
  const posts = createPosts({ database, log: log.named('posts') });
  const tasks = createTasks({ database, queue, log: log.named('tasks') });
  return [
    ...healthRoutes({ health }),
    ...metaRoutes({ application }),
    ...authRoutes({ auth, allowedOrigins: application.corsAllowOrigins }),
    ...accountRoutes({ account }),
    ...apiKeysRoutes({ apiKeys, prefix }),
    ...usersRoutes({
      users,
      welcome,
      registrationsPerHour: security.rateLimitRegistrationsPerHour,
      prefix,
    }),
    ...postsRoutes({ posts, prefix }),
    ...tasksRoutes({ tasks }),
    ...uploadsRoutes({
      uploads: createUploads({ database, queue, auth, log: log.named('uploads') }),
      folder: uploadsFolder(application.dataDir),
      maxBytes: security.maxUploadSize,
      prefix,
    }),
  ];
}
