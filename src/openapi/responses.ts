/**
 * Describes the responses of a route: those that it declares, and the error responses that follow from its other declarations.
 *
 *     body                    malformed, incomplete, too slow, too large, of the wrong type
 *     params                  not found
 *     any schema              validation failed
 *     auth, scopes, roles     unauthenticated, forbidden, and the errors of the database
 *     idempotent              already running, or a different request with the same key
 *     limit                   rate limited
 *     problems                the error codes that the route lists
 *     every route             internal error, deadline exceeded
 *
 * Errors of the message as a whole are the same for all routes. They are components of the document, described once.
 */

import { AppError, type ErrorCode } from '../errors.ts';
import { createCacheFields } from '../http/headers/cache-control.ts';
import { describeProblem, problemContentType, problemKinds } from '../http/problem.ts';
import type { ResponseSpec, RouteCache, RouteDeclaration } from '../http/route-declaration.ts';
import { describeHeader, type HeaderUse, headerName, type StandardHeader } from './headers.ts';
import { problemSchema } from './problem-schema.ts';
import type { JsonSchema, SchemaSet } from './schemas.ts';

export interface MediaTypeObject {
  readonly schema?: JsonSchema;
  readonly example?: unknown;
}

export interface ApiResponse {
  readonly description: string;
  readonly headers: Record<string, HeaderUse>;
  readonly content?: Record<string, MediaTypeObject>;
}

/** A reference to a response in the components of the document. */
export interface ResponseReference {
  readonly $ref: string;
}

/** Errors that have the same response on most routes, by the name of their component. */
const messageProblems = {
  NotServed: ['https_required', 'country_blocked'],
  UriTooLong: ['uri_too_long'],
  ExpectationFailed: ['expectation_failed'],
  MisdirectedRequest: ['misdirected_request'],
  HeadersTooLarge: ['headers_too_large'],
  TransferCodingNotImplemented: ['transfer_coding_not_implemented'],
} as const satisfies Readonly<Record<string, readonly [ErrorCode, ...ErrorCode[]]>>;

/** Returns the responses in the components of the document. */
export function describeCommonResponses(schemas: SchemaSet): Record<string, ApiResponse> {
  const moved: ApiResponse = {
    description:
      'The same resource is at `Location`: over HTTPS, or without the slash at the end of the path. Send the request there.',
    headers: { ...usualHeaders('address'), Location: reference('Location') },
  };
  const errors = Object.entries(messageProblems).map(([name, codes]) => [
    name,
    describeProblemResponse(usualHeaders('address'), problemKinds[codes[0]].status, [...codes], schemas),
  ]);
  return { Moved: moved, ...Object.fromEntries(errors) };
}

/** Returns the responses of a route by status. `name` names the route in errors. */
export function describeResponses(
  route: RouteDeclaration,
  name: string,
  schemas: SchemaSet,
): Record<string, ApiResponse | ResponseReference> {
  const responses: Record<string, ApiResponse> = {};
  const common: Record<string, ResponseReference> = { 308: referenceTo('Moved') };
  for (const [status, spec] of Object.entries(route.responses)) {
    responses[status] = describeDeclared(route, Number(status), spec, `${name}, response ${status}`, schemas);
  }
  const read = route.method === 'GET' ? responses['200'] : undefined;
  if (read !== undefined) {
    responses['304'] = {
      description: 'Not modified: the client has the current representation (If-None-Match).',
      headers: read.headers,
    };
  }
  for (const [status, codes] of problemsOf(route)) {
    const declared = responses[status];
    const component = componentOf(codes);
    if (declared === undefined && component !== undefined) common[status] = referenceTo(component);
    else responses[status] = mergeProblem(declared, describeRouteProblem(route, status, codes, schemas));
  }
  return { ...responses, ...common };
}

function componentOf(codes: readonly ErrorCode[]): string | undefined {
  return Object.entries(messageProblems).find(([, each]) => each.join() === codes.join())?.[0];
}

function referenceTo(component: string): ResponseReference {
  return { $ref: `#/components/responses/${component}` };
}

function describeDeclared(
  route: RouteDeclaration,
  status: number,
  spec: ResponseSpec,
  use: string,
  schemas: SchemaSet,
): ApiResponse {
  const headers = usualHeaders(route.limit);
  if (status === 201) headers.Location = reference('Location');
  if (status === 200 && route.etag) headers.ETag = reference('ETag');
  if (route.cache !== undefined && status < 400) {
    headers['Cache-Control'] = describeHeader('Cache-Control', describeCaching(route.cache));
  }
  if (route.idempotent) headers['Idempotency-Replayed'] = reference('Idempotency-Replayed');
  for (const [name, description] of Object.entries(spec.headers ?? {})) {
    headers[headerName(name)] = describeHeader(name, description);
  }
  if (spec.schema === undefined && spec.contentType === undefined)
    return { description: spec.description, headers };
  const mediaType: MediaTypeObject = {
    ...(spec.schema !== undefined && { schema: schemas.convert(spec.schema, 'output', use) }),
    ...(spec.example !== undefined && { example: spec.example }),
  };
  return {
    description: spec.description,
    headers,
    content: { [spec.contentType ?? 'application/json']: mediaType },
  };
}

function describeCaching(cache: RouteCache): string {
  const { open, own } = createCacheFields(cache);
  return open === own ? `\`${own}\`` : `\`${open}\`; \`${own}\` if the request has credentials.`;
}

/** Further errors of every route that uses the database. */
const databaseProblems = [
  'database_timeout',
  'database_busy',
  'database_read_only',
  'database_impaired',
] as const satisfies readonly ErrorCode[];

/** Returns the error codes of a route by status. */
function problemsOf(route: RouteDeclaration): Map<number, ErrorCode[]> {
  const codes: ErrorCode[] = [
    'bad_target',
    'bad_host',
    'uri_too_long',
    'expectation_failed',
    'headers_too_large',
    'transfer_coding_not_implemented',
  ];
  // Probes may use plain HTTP, name any host, and come from any country.
  if (route.limit !== 'exempt') codes.push('https_required', 'country_blocked', 'misdirected_request');
  codes.push('precondition_failed');
  if (checksCredentials(route)) codes.push('bad_request', 'unauthenticated', 'database_unavailable');
  if (canForbid(route)) codes.push('forbidden');
  if (route.body !== undefined) {
    codes.push('malformed_body', 'incomplete_body', 'request_timeout', 'body_too_large');
    codes.push('unsupported_media_type', 'unsupported_encoding');
  }
  if (route.upload !== undefined) codes.push('uploads_disabled', 'storage_full');
  if (route.params !== undefined) codes.push('not_found');
  if ([route.params, route.query, route.headers, route.body].some((each) => each !== undefined)) {
    codes.push('validation_failed');
  }
  if (route.idempotent) codes.push('bad_request', 'idempotency_running', 'idempotency_mismatch');
  if (route.limit !== 'exempt') codes.push('rate_limited', 'client_banned');
  codes.push(...(route.problems ?? []), 'internal', 'deadline_exceeded');
  if (codes.includes('database_unavailable')) codes.push(...databaseProblems);

  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = problemKinds[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}

/** Returns whether credentials in a request are checked. On open routes they are, except for probes. */
function checksCredentials({ auth, limit }: RouteDeclaration): boolean {
  return auth !== 'own' && !(auth === 'none' && limit === 'exempt');
}

/** Returns whether an authenticated caller can be rejected for its kind of credential, or for a missing scope or role. */
function canForbid({ auth, scopes = [], roles = [] }: RouteDeclaration): boolean {
  return auth === 'user' || auth === 'apiKey' || (auth === 'any' && scopes.length + roles.length > 0);
}

function describeRouteProblem(
  route: RouteDeclaration,
  status: number,
  codes: readonly ErrorCode[],
  schemas: SchemaSet,
): ApiResponse {
  const limit = status === 413 && route.maxBody !== undefined ? `; the limit is ${route.maxBody} bytes` : '';
  // Malformed messages count in the limit of their sender, even if they are probes.
  const headers = usualHeaders(codes.includes('bad_target') ? 'address' : route.limit);
  return describeProblemResponse(headers, status, codes, schemas, limit);
}

function describeProblemResponse(
  headers: Record<string, HeaderUse>,
  status: number,
  codes: readonly ErrorCode[],
  schemas: SchemaSet,
  limit = '',
): ApiResponse {
  const kinds = codes.map((code) => `${problemKinds[code].title} (\`${code}\`)`).join('; ');
  if (status === 401) headers['WWW-Authenticate'] = reference('WWW-Authenticate');
  if (status === 429 || status === 503 || codes.includes('idempotency_running'))
    headers['Retry-After'] = reference('Retry-After');
  const schema = schemas.convert(problemSchema, 'output', 'the problem');
  const content = { [problemContentType]: { schema, example: exampleOf(codes) } };
  return { description: `${kinds}${limit}.`, headers, content };
}

/** Returns an example: the problem that the server would send for the first of the codes. */
function exampleOf([code = 'internal']: readonly ErrorCode[]): unknown {
  const detail = 'A sentence about the reason and what to do about it.';
  const errors = [{ in: 'body', pointer: '/name', detail: 'This field is required.' }] as const;
  const error = new AppError(code, detail, code === 'validation_failed' ? { errors } : {});
  return describeProblem(error, { requestId: '7b0c5b2e-6f0e-4f0c-9d5c-1d1f6a1f7c55' });
}

/** Merges a declared response with an error response of the same status, such as the 503 of readiness. */
function mergeProblem(declared: ApiResponse | undefined, error: ApiResponse): ApiResponse {
  if (declared === undefined) return error;
  return {
    description: `${declared.description} Or: ${error.description}`,
    headers: { ...error.headers, ...declared.headers },
    content: { ...declared.content, ...error.content },
  };
}

/** Returns the headers of every response of a route with this limit. */
function usualHeaders(limit: RouteDeclaration['limit']): Record<string, HeaderUse> {
  const names: StandardHeader[] = ['Access-Control-Allow-Origin', 'X-Request-ID'];
  if (limit !== 'exempt') names.push('RateLimit', 'RateLimit-Policy');
  return Object.fromEntries(names.map((name) => [name, reference(name)]));
}

function reference(name: StandardHeader): HeaderUse {
  return { $ref: `#/components/headers/${name}` };
}
