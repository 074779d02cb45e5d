/** The public facts about the service, from settings that are not secret. */
export interface MetaOptions {
  readonly projectName: string;
  readonly projectDescription: string;
  readonly projectVersion: string;
  readonly environment: string;
  readonly apiPrefix: string;
  /** Paths of the documentation; null if not served. */
  readonly docsUrl: string | null;
  readonly redocUrl: string | null;
  readonly openapiUrl: string | null;
}

/** Describes the service. `uptimeSeconds` is how long the process has run. */
export function describeService(options: MetaOptions, uptimeSeconds: number) {
  return {
    name: options.projectName,
    description: options.projectDescription,
    version: options.projectVersion,
    environment: options.environment,
    uptime_seconds: Math.round(uptimeSeconds * 1000) / 1000,
    api_prefix: options.apiPrefix,
    docs: { swagger: options.docsUrl, redoc: options.redocUrl, openapi: options.openapiUrl },
  };
}

/** Returns where a person who knows only the host continues: null for what is not served. */
export function linkService({ projectName, apiPrefix, docsUrl, openapiUrl }: MetaOptions) {
  return {
    name: projectName,
    meta: `${apiPrefix}/meta`,
    health: `${apiPrefix}/health/ready`,
    docs: docsUrl,
    openapi: openapiUrl,
  };
}
