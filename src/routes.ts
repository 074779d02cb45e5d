/** Collects the routes of the features, mounts them below the API prefix, and describes them in the API document. */

import { createPasswordHasher, type PasswordHasher } from './auth/password.ts';
import { type Cache, createCache } from './cache/cache.ts';
import { createCacheMetrics } from './cache/cache-metrics.ts';
import { noBus } from './cache/invalidation-bus.ts';
import { noCacheStore } from './cache/no-store.ts';
import type { Database } from './db/database.ts';
import { describedScopes, features, scopes, tags, taskDefinitions } from './declarations.ts';
import type { FeatureParts } from './features/feature.ts';
import type { HealthCheck } from './features/health/health.ts';
import type { Identity } from './features/identity/identity.ts';
import { mount, type Route } from './http/route.ts';
import type { HttpClient } from './http-client/http-client.ts';
import { createQueue, type Queue } from './jobs/queue.ts';
import { type MailQueue, noMail } from './mail/mail-queue.ts';
import type { CircuitMetrics } from './observability/circuit-set.ts';
import type { Logger } from './observability/logger.ts';
import type { Metrics, MetricsSnapshot } from './observability/metrics/metrics.ts';
import { createDocsRoutes } from './openapi/docs-page.ts';
import {
  assertDescribable,
  createOpenApiDocument,
  createOpenApiDocumentInPieces,
  type DocumentOptions,
  type OpenApiDocument,
} from './openapi/document.ts';
import { openHttpClient } from './program/parts/open-http-client.ts';
import type { Settings } from './settings/load.ts';

export interface RouteParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly database: Database;
  readonly identity: Identity;
  /** Where everything is counted. */
  readonly metrics: Metrics;
  /** Returns the metrics of all workers; by default, those of this process. */
  readonly fleetMetrics?: () => Promise<MetricsSnapshot>;
  /** The readiness checks. */
  readonly healthChecks?: readonly HealthCheck[];
  /** Sends mails; by default, no mail can be sent. */
  readonly mail?: MailQueue;
  /** Keeps what functions have loaded; by default nothing is kept. */
  readonly cache?: Cache;
  /** Counts open circuits, for the default of `httpClient`. */
  readonly circuitMetrics?: CircuitMetrics;
  /** Calls other services; by default one without connections yet. */
  readonly httpClient?: HttpClient;
  /** Where jobs are enqueued; by default a queue for the tasks of the application. */
  readonly queue?: Queue;
  /** By default one with the parameters for production; tests bring a cheap one. */
  readonly passwords?: PasswordHasher;
  /** Routes beside the features', below the API prefix: tests and benchmarks add theirs. */
  readonly extraRoutes?: readonly Route[];
}

/**
 * Returns every route that the application answers, with its full path. Throws a StartError for a route that cannot be
 * described in the API document.
 */
export function createRoutes(parts: RouteParts): Route[] {
  const { settings, extraRoutes = [] } = parts;
  const featureParts = completeParts(parts);
  const api = mount(settings.application.apiPrefix, [
    ...features.flatMap((feature) => feature.routes?.(featureParts) ?? []),
    ...extraRoutes,
  ]);
  const { projectName, docsUrl, redocUrl, openapiUrl } = settings.application;
  const document = documentOptions(settings, api);
  assertDescribable(document);
  return [
    ...api,
    ...features.flatMap((feature) => feature.rootRoutes?.(featureParts) ?? []),
    ...createDocsRoutes({
      document: () => createOpenApiDocumentInPieces(document),
      ...{ projectName, docsUrl, redocUrl, openapiUrl },
    }),
  ];
}

function completeParts(parts: RouteParts): FeatureParts {
  const { metrics, fleetMetrics = async () => metrics.snapshot(), healthChecks = [] } = parts;
  return {
    ...parts,
    cache: parts.cache ?? createUnkeptCache(parts),
    httpClient: parts.httpClient ?? openHttpClient(parts),
    mail: parts.mail ?? noMail,
    queue: parts.queue ?? createQueue({ definitions: taskDefinitions }),
    passwords: parts.passwords ?? createPasswordHasher(),
    scopes,
    fleetMetrics,
    healthChecks: [...healthChecks, ...features.flatMap((feature) => feature.healthChecks?.(parts) ?? [])],
  };
}

function createUnkeptCache({ metrics, log }: RouteParts): Cache {
  return createCache({ store: noCacheStore, bus: noBus, metrics: createCacheMetrics(metrics).calls, log });
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
      scopes: Object.fromEntries(describedScopes.map(({ name, description }) => [name, description])),
    },
  };
}
