/**
 * The OpenAPI 3.1 document, made from the route definitions and from nothing else: what a route declares is what
 * the validator checks, what the serialiser lets out and what stands here, so the three cannot drift apart.
 *
 *     route.params, query, headers  ->  parameters       typed as the handler gets them
 *     route.body                    ->  requestBody      one entry a media type, with the route's example
 *     route.responses               ->  responses        with the headers that the layers add
 *     limit, body, params, problems ->  responses        the refusals, as problems (RFC 9457)
 *     auth, scopes, roles           ->  security         and the refusals of who may not
 *     .meta({ id })                 ->  components       written once, referred to by name
 *
 * Left out are routes that say `hidden`, and HEAD and OPTIONS, which follow from the others.
 */

import { setImmediate } from 'node:timers/promises';
import type { Method, RouteDeclaration } from '../http/route-declaration.ts';
import { type Header, standardHeaders } from './headers.ts';
import { describeOperation, type Operation, pathTemplate } from './operation.ts';
import { type ApiResponse, describeCommonResponses } from './responses.ts';
import { createSchemaSet, type JsonSchema } from './schemas.ts';
import { describeSecuritySchemes, type SecurityOptions, type SecurityScheme } from './security.ts';

export interface DocumentOptions {
  readonly routes: readonly RouteDeclaration[];
  readonly info: { readonly title: string; readonly description: string; readonly version: string };
  /** What kind of server this is, such as `local` or `production`. */
  readonly environment: string;
  /** What each tag of the routes stands for, in the order in which readers see them. */
  readonly tags: readonly Tag[];
  /** How clients say who they are. */
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
 * Makes the document. Throws an Error that names the route for what cannot be described: a transformation whose
 * result has no schema, a tag without a description, an operationId that is there twice.
 */
export function createOpenApiDocument(options: DocumentOptions): OpenApiDocument {
  const steps = describeInSteps(options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same without blocking the event loop: other events are handled after each route. */
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
      throw new Error(`${name} has the operationId "${route.operationId}" of another route.`);
    seen.add(route.operationId);
    const unknown = route.tags.find((tag) => !tags.some((each) => each.name === tag));
    if (unknown !== undefined)
      throw new Error(`${name} has the tag "${unknown}", which no description stands for.`);
  }
}

function lowerCase(method: Method): Lowercase<Method> {
  const names = { GET: 'get', POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' } as const;
  return names[method];
}

/** The standard headers that some response refers to. */
function usedHeaders(described: unknown): Record<string, Header> {
  const text = JSON.stringify(described);
  return Object.fromEntries(
    Object.entries(standardHeaders).filter(([name]) => text.includes(`"#/components/headers/${name}"`)),
  );
}
