/**
 * Generates the OpenAPI 3.1 document from the routes. The validator, the serialiser and the document read the same
 * declarations, so they cannot disagree.
 *
 *     route.params, query, headers  ->  parameters       with the types that the handler gets
 *     route.body                    ->  requestBody      one entry per media type, with the example of the route
 *     route.responses               ->  responses        with the headers that the layers add
 *     limit, body, params, problems ->  responses        the errors, as problems (RFC 9457)
 *     auth, scopes, roles           ->  security         and the errors 401 and 403
 *     .meta({ id })                 ->  components       written once, referenced by name
 *
 * Routes that are `hidden` are left out, and so are HEAD and OPTIONS, which follow from the other methods.
 *
 * The first document of a process takes about 40 ms of CPU time. So a server generates it when a client first requests it, and
 * its start only checks that every route can be described (`assertDescribable`), which takes about 1 ms.
 */

import { setImmediate } from 'node:timers/promises';
import { StartError } from '../errors.ts';
import type { Method, RouteDeclaration } from '../http/route-declaration.ts';
import { areDescribable } from './describable.ts';
import { type Header, standardHeaders } from './headers.ts';
import { describeOperation, type Operation, pathTemplate } from './operation.ts';
import { type ApiResponse, describeCommonResponses } from './responses.ts';
import { createSchemaSet, type JsonSchema } from './schemas.ts';
import { describeSecuritySchemes, type SecurityOptions, type SecurityScheme } from './security.ts';

export interface DocumentOptions {
  readonly routes: readonly RouteDeclaration[];
  readonly info: { readonly title: string; readonly description: string; readonly version: string };
  /** The environment of the server, such as `local` or `production`. */
  readonly environment: string;
  /** The tags of the routes with their descriptions, in the order in which the document lists them. */
  readonly tags: readonly Tag[];
  /** How clients authenticate. */
  readonly security: SecurityOptions;
}

export interface Tag {
  readonly name: string;
  readonly description: string;
}

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: {
    readonly title: string;
    readonly description: string;
    readonly version: string;
    readonly contact: { readonly name: string };
    readonly license: { readonly name: string; readonly identifier: string };
  };
  readonly servers: readonly {
    readonly url: string;
    readonly description: string;
    readonly 'x-internal': boolean;
  }[];
  readonly tags: readonly Tag[];
  readonly paths: Record<string, Partial<Record<Lowercase<Method>, Operation>>>;
  readonly components: {
    readonly schemas: Record<string, JsonSchema>;
    readonly responses: Record<string, ApiResponse>;
    readonly headers: Record<string, Header>;
    readonly securitySchemes: Record<string, SecurityScheme>;
  };
}

/**
 * Generates the document. Throws a StartError that names the route if it cannot be described: a schema without a JSON form, a
 * tag without a description, an operationId that another route has.
 */
export function createOpenApiDocument(options: DocumentOptions): OpenApiDocument {
  const steps = describeInSteps(options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * Throws the StartError of `createOpenApiDocument` for routes that it cannot describe. It is cheap enough for every start,
 * because it describes the routes only if a check of their schemas leaves a doubt.
 */
export function assertDescribable(options: DocumentOptions): void {
  const visible = options.routes.filter(({ hidden }) => !hidden);
  checkNames(visible, options.tags);
  if (!areDescribable(visible)) createOpenApiDocument(options);
}

/** Generates the document without blocking the event loop: other events are handled after each route. */
export async function createOpenApiDocumentInPieces(options: DocumentOptions): Promise<OpenApiDocument> {
  const steps = describeInSteps(options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await setImmediate();
  }
}

function* describeInSteps(options: DocumentOptions): Generator<undefined, OpenApiDocument> {
  const { routes, info, environment, tags, security } = options;
  const schemas = createSchemaSet();
  const paths: OpenApiDocument['paths'] = {};
  const visible = routes.filter(({ hidden }) => !hidden);
  checkNames(visible, tags);
  for (const route of visible) {
    const path = pathTemplate(route.path);
    paths[path] = { ...paths[path], [lowerCase(route.method)]: describeOperation(route, schemas) };
    yield;
  }
  const responses = describeCommonResponses(schemas);
  return {
    openapi: '3.1.0',
    info: {
      ...info,
      contact: { name: `The maintainers of ${info.title}` },
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [
      {
        url: '/',
        description: `This server (${environment})`,
        'x-internal': environment !== 'production',
      },
    ],
    tags: tags.filter(({ name }) => visible.some((route) => route.tags.includes(name))),
    paths,
    components: {
      schemas: schemas.components(),
      responses,
      headers: usedHeaders({ paths, responses }),
      securitySchemes: describeSecuritySchemes(security),
    },
  };
}

function checkNames(routes: readonly RouteDeclaration[], tags: readonly Tag[]): void {
  const seen = new Set<string>();
  for (const route of routes) {
    const name = `${route.method} ${route.path}`;
    if (seen.has(route.operationId))
      throw new StartError(`${name} has the operationId "${route.operationId}" of another route.`);
    seen.add(route.operationId);
    const unknown = route.tags.find((tag) => !tags.some((each) => each.name === tag));
    if (unknown !== undefined)
      throw new StartError(`${name} has the tag "${unknown}", which has no description.`);
  }
}

function lowerCase(method: Method): Lowercase<Method> {
  const names = { GET: 'get', POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' } as const;
  return names[method];
}

/** Returns the standard headers that the responses refer to. */
function usedHeaders(described: unknown): Record<string, Header> {
  const text = JSON.stringify(described);
  return Object.fromEntries(
    Object.entries(standardHeaders).filter(([name]) => text.includes(`"#/components/headers/${name}"`)),
  );
}
