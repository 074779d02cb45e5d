/** The routes: each feature made with what it needs, mounted below the API prefix, and shown in the document. */

import { createPasswordHasher, type PasswordHasher } from './auth/password.ts';
import type { Database } from './db/database.ts';
import { createHealth, type HealthCheck } from './features/health/health.ts';
import { healthRoutes } from './features/health/routes.ts';
import { metaRoutes } from './features/meta/routes.ts';
import { createPosts } from './features/posts/posts.ts';
import { postsRoutes } from './features/posts/routes.ts';
import { usersRoutes } from './features/users/routes.ts';
import { createUsers } from './features/users/users.ts';
import { mount, type Route } from './http/route.ts';
import type { Logger } from './observability/logger.ts';
import { createDocsRoutes } from './openapi/docs-page.ts';
import { createOpenApiDocument, type OpenApiDocument } from './openapi/document.ts';
import type { Settings } from './settings/load.ts';

export interface RouteParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly database: Database;
  /** What readiness asks. */
  readonly healthChecks?: readonly HealthCheck[];
  /** By default one with the parameters for production; tests bring a cheap one. */
  readonly passwords?: PasswordHasher;
  /** Routes beside the features', below the API prefix: tests and benchmarks add theirs. */
  readonly extraRoutes?: readonly Route[];
}

const tags = [
  { name: 'users', description: 'People who have an account.' },
  { name: 'posts', description: 'What they write.' },
  { name: 'health', description: 'Probes for the platform; exempt from the rate limit.' },
  { name: 'meta', description: 'What this service is.' },
];

/** Every route that the application answers, with its full path. */
export function createRoutes(parts: RouteParts): Route[] {
  const api = mount(parts.settings.application.apiPrefix, [
    ...featureRoutes(parts),
    ...(parts.extraRoutes ?? []),
  ]);
  const { projectName, docsUrl, redocUrl, openapiUrl } = parts.settings.application;
  let document: OpenApiDocument | undefined;
  const documentOnce = () => {
    document ??= describeRoutes(parts.settings, api);
    return document;
  };
  return [
    ...api,
    ...createDocsRoutes({ document: documentOnce, projectName, docsUrl, redocUrl, openapiUrl }),
  ];
}

/** The OpenAPI document of the given routes. */
export function describeRoutes({ application }: Settings, routes: readonly Route[]): OpenApiDocument {
  return createOpenApiDocument({
    routes,
    info: {
      title: application.projectName,
      description: application.projectDescription,
      version: application.projectVersion,
    },
    environment: application.environment,
    tags,
  });
}

function featureRoutes({
  settings,
  log,
  database,
  healthChecks = [],
  passwords = createPasswordHasher(),
}: RouteParts): Route[] {
  const { application } = settings;
  const prefix = application.apiPrefix;
  const health = createHealth({
    environment: application.environment,
    version: application.projectVersion,
    checks: healthChecks,
    log: log.named('health'),
  });
  const users = createUsers({ database, passwords, log: log.named('users') });
  const posts = createPosts({ database, log: log.named('posts') });
  return [
    ...healthRoutes({ health }),
    ...metaRoutes({ application }),
    ...usersRoutes({ users, prefix }),
    ...postsRoutes({ posts, prefix }),
  ];
}
