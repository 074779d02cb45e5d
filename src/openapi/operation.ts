import type * as z from 'zod';
import { StartError } from '../errors.ts';
import { maxTargetBytes } from '../http/connection/message-error.ts';
import type { RouteDeclaration } from '../http/route-declaration.ts';
import { isOpen } from '../http/route-policy.ts';
import { parsePattern } from '../http/router.ts';
import { headerName } from './headers.ts';
import {
  type ApiResponse,
  describeResponses,
  type MediaTypeObject,
  type ResponseReference,
} from './responses.ts';
import { isText, type JsonSchema, type SchemaSet } from './schemas.ts';
import { describeCaller, describeSecurity, type SecurityRequirement } from './security.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

export interface RequestBody {
  readonly required: boolean;
  readonly content: Record<string, MediaTypeObject>;
}

/** The Operation Object of a route. */
export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly deprecated?: true;
  readonly security: readonly SecurityRequirement[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: RequestBody;
  readonly responses: Record<string, ApiResponse | ResponseReference>;
}

/** Describes one route. Throws a StartError that names it if it cannot be described. */
export function describeOperation(route: RouteDeclaration, schemas: SchemaSet): Operation {
  const name = `${route.method} ${route.path}`;
  const parameters = [
    ...pathParameters(route, name, schemas),
    ...namedParameters('query', route.query, name, schemas),
    ...namedParameters('header', route.headers, name, schemas),
    ...(route.idempotent ? [isOpen(route) ? unguessableKey : idempotencyKey] : []),
  ];
  return {
    operationId: route.operationId,
    summary: route.summary,
    description: [route.description ?? `${route.summary}.`, describeCaller(route)].join(' ').trimEnd(),
    tags: route.tags,
    ...(route.deprecated && { deprecated: true }),
    security: describeSecurity(route),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body !== undefined && { requestBody: describeBody(route, route.body, name, schemas) }),
    responses: describeResponses(route, name, schemas),
  };
}

/** The additional header of a route that is `idempotent`. */
const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'Makes the request safe to retry: as long as the key is stored, a request with the same key gets the first response and ' +
    'is not carried out again. Use a new random value, such as a UUID, for each new request.',
  schema: { type: 'string', minLength: 1, maxLength: 257, pattern: '^[!-~]+$' },
};

/** The header `Idempotency-Key` of a route without authentication, where a client must not guess the key of another. */
const unguessableKey: Parameter = {
  ...idempotencyKey,
  description: `${idempotencyKey.description} Without authentication it needs at least 16 characters.`,
  schema: { ...idempotencyKey.schema, minLength: 16 },
};

/** Returns the OpenAPI template of a pattern: `/users/{id}` for `/users/:id`, `/files/{path}` for `/files/*path`. */
export function pathTemplate(pattern: string): string {
  const segments = parsePattern(pattern).map(({ kind, text }) => (kind === 'static' ? text : `{${text}}`));
  return `/${segments.join('/')}`;
}

function pathParameters(route: RouteDeclaration, name: string, schemas: SchemaSet): Parameter[] {
  const declared = namedParameters('path', route.params, name, schemas);
  const names = parsePattern(route.path).flatMap(({ kind, text }) => (kind === 'static' ? [] : [text]));
  const undeclared = declared.find((each) => !names.includes(each.name));
  if (undeclared !== undefined)
    throw new StartError(`${name} has no "${undeclared.name}" in its path, but its params declare it.`);
  return names.map((each) => {
    const parameter = declared.find((one) => one.name === each);
    return {
      ...(parameter ?? { name: each, in: 'path', schema: anySegment }),
      required: true,
    };
  });
}

/** A parameter cannot be longer than the request target that contains it. */
const anySegment: JsonSchema = { type: 'string', minLength: 1, maxLength: maxTargetBytes };

/** OpenAPI describes these headers elsewhere and ignores them as parameters. */
const ignoredHeaders = new Set(['accept', 'authorization', 'content-type']);

/** Returns one parameter per property of the schema: its type is that of the output, and whether it is required that of the input. */
function namedParameters(
  part: Parameter['in'],
  schema: z.ZodType | undefined,
  name: string,
  schemas: SchemaSet,
): Parameter[] {
  if (schema === undefined) return [];
  const use = `${name}, ${part}`;
  const { properties } = schemas.convert(schema, 'output', use);
  if (properties === undefined)
    throw new StartError(`The schema of ${use} must be an object schema without an id.`);
  const { required = [] } = schemas.convert(schema, 'input', use);

  return Object.entries(properties)
    .filter(([key]) => part !== 'header' || !ignoredHeaders.has(key))
    .map(([key, property]) => {
      if (typeof property === 'boolean')
        throw new StartError(`The schema of ${use}, field "${key}", accepts any value; declare its type.`);
      const { description, examples, deprecated, ...rest } = property;
      if (isText(rest) && !('enum' in rest)) rest.maxLength ??= maxTargetBytes;
      return {
        name: part === 'header' ? headerName(key) : key,
        in: part,
        required: required.includes(key),
        ...(description !== undefined && { description }),
        ...(deprecated && { deprecated }),
        schema: rest,
        ...(Array.isArray(examples) && { example: examples[0] }),
      };
    });
}

function describeBody(
  route: RouteDeclaration,
  body: z.ZodType,
  name: string,
  schemas: SchemaSet,
): RequestBody {
  const mediaType: MediaTypeObject = {
    schema: schemas.convert(body, 'input', `${name}, body`),
    ...(route.example !== undefined && { example: route.example }),
  };
  const accepts = route.accepts ?? ['application/json'];
  return {
    required: !body.safeParse(undefined).success,
    content: Object.fromEntries(accepts.map((type) => [type, mediaType])),
  };
}
