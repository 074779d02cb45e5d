/**
 * The end of the pipeline:
 *
 *     receive the body -> validate every part -> call the handler -> serialise its reply
 *
 * Each route is compiled once, when the application is created.
 */

import { Readable } from 'node:stream';
import { AppError, type FieldError, StartError } from '../errors.ts';
import { receiveBody, waitForBody } from './body/body.ts';
import { discardForm, type Form, receiveForm } from './body/multipart.ts';
import { parseBody } from './body/parse-body.ts';
import type { Upload } from './body/uploaded-file.ts';
import { after } from './compose.ts';
import type { Context, Done, PreparedRoute } from './context.ts';
import { type CacheFields, createCacheFields, setCacheFields } from './headers/cache-control.ts';
import { type MediaType, parseMediaType } from './headers/media-type.ts';
import { parseQuery } from './parameters/query.ts';
import { rejectRequest } from './problem.ts';
import { type FinishedReply, type Payload, Reply } from './reply.ts';
import { createRecordReply } from './reply-recorder.ts';
import type { Route, RouteRequest } from './route.ts';
import type { BodyLimits } from './route-declaration.ts';
import type { Params } from './router.ts';
import { createSerialiser, type Serialise } from './serialise.ts';
import { type Part, type PartInput, validatePart, validationFailed } from './validate.ts';

/** A route with what `handle` needs of it, compiled once. */
interface Endpoint {
  readonly route: Route;
  readonly bodyLimits: BodyLimits;
  readonly serialisers: ReadonlyMap<number, Serialise>;
  readonly cacheFields: CacheFields | undefined;
}

/** Compiles a route and fills in its defaults. Throws a StartError for declarations that exclude each other. */
export function prepareRoute(route: Route, defaults: BodyLimits): PreparedRoute {
  const operation = `${route.method} ${route.path}`;
  if (route.upload !== undefined && route.idempotent) {
    throw new StartError(
      `${operation} cannot be both idempotent and an upload: a repetition is recognised by the whole body, and an upload is not kept in memory.`,
    );
  }
  const serialisers = new Map<number, Serialise>();
  for (const [status, spec] of Object.entries(route.responses)) {
    if (spec.schema !== undefined) serialisers.set(Number(status), createSerialiser(spec.schema, operation));
  }
  const bodyLimits = { maxBytes: route.maxBody ?? defaults.maxBytes, timeoutMs: defaults.timeoutMs };
  const cacheFields = route.cache && createCacheFields(route.cache);
  const endpoint: Endpoint = { route, bodyLimits, serialisers, cacheFields };
  return {
    route,
    bodyLimits,
    accepts: route.body === undefined ? [] : (route.accepts ?? ['application/json']),
    handle: (ctx, pathParams) => receiveAndHandle(ctx, endpoint, pathParams),
  };
}

/** Handles a request by its route. A request without a route gets a redirect, a reply to OPTIONS, or an error. */
export function dispatch(ctx: Context): Done {
  const { match } = ctx;
  if (ctx.messageError !== undefined) throw ctx.messageError;
  return match.kind === 'found' ? match.value.handle(ctx, match.params) : replyToUnmatched(ctx);
}

function receiveAndHandle(ctx: Context, endpoint: Endpoint, pathParams: Params): Done {
  const { body, upload } = endpoint.route;
  if (body !== undefined && ctx.rawBody === undefined && ctx.bodyState !== 'absent') {
    if (upload !== undefined) return handleUpload(ctx, endpoint, pathParams, upload);
    return receiveBody(ctx, endpoint.bodyLimits).then(() => handle(ctx, endpoint, pathParams));
  }
  return handle(ctx, endpoint, pathParams);
}

/** The handler owns the file once it has returned; an error before that removes the file. */
async function handleUpload(
  ctx: Context,
  endpoint: Endpoint,
  pathParams: Params,
  upload: Upload,
): Promise<void> {
  if (!(await waitForBody(ctx, endpoint.bodyLimits))) return handle(ctx, endpoint, pathParams);
  const form = await receiveForm(ctx, upload, endpoint.bodyLimits);
  try {
    await handle(ctx, endpoint, pathParams, form);
  } catch (error) {
    await discardForm(form);
    throw error;
  }
}

function handle(ctx: Context, endpoint: Endpoint, pathParams: Params, form?: Form): Done {
  let request: ReturnType<typeof validateRequest>;
  try {
    request = validateRequest(ctx, endpoint, pathParams, form);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    request = error;
  }
  if (request instanceof AppError) {
    // The form has a file, which the caller deletes after a throw.
    if (form !== undefined) throw request;
    return rejectRequest(ctx, request);
  }
  return after(endpoint.route.handler(request), (returned) => reply(ctx, endpoint, returned));
}

/** Returns the validated request, or the error for invalid parts. Throws an AppError for malformed parts. */
function validateRequest(
  ctx: Context,
  endpoint: Endpoint,
  pathParams: Params,
  form: Form | undefined,
): RouteRequest<unknown, unknown, unknown, unknown, unknown> | AppError {
  const { route } = endpoint;
  const errors: FieldError[] = [];
  const check = (part: Part, schema: PartInput['schema'] | undefined, read: () => unknown): unknown => {
    if (schema === undefined) return undefined;
    const result = validatePart({ part, schema, value: read() });
    if (result.ok) return result.value;
    errors.push(...result.errors);
    return undefined;
  };
  const request = {
    params: check('path', route.params, () => pathParams),
    query: check('query', route.query, () => readQuery(ctx)),
    headers: check('header', route.headers, () => ctx.request.headers),
    body: check('body', route.body, () => form ?? readBody(ctx)),
    recordReply: createRecordReply(ctx.recorder, (returned) => finish(endpoint, returned)),
    ctx,
  };
  return errors.length > 0 ? validationFailed(errors) : request;
}

function readQuery(ctx: Context): unknown {
  const query = parseQuery(ctx.target.query);
  if (query === undefined) {
    throw new AppError(
      'bad_target',
      'The query string has a "%" that does not encode UTF-8 text, or over 1,000 parameters.',
    );
  }
  return query;
}

const octets: MediaType = { type: 'application/octet-stream', charset: undefined };

/** Returns the value of the body; undefined if the request has none, which a schema may allow. */
function readBody(ctx: Context): unknown {
  if (ctx.rawBody === undefined) return undefined;
  const header = ctx.request.headers['content-type'];
  return parseBody(ctx.rawBody, (header === undefined ? undefined : parseMediaType(header)) ?? octets);
}

/**
 * Sets the response to what the handler returned. If a reply was recorded for repetitions of the request, the recorded reply
 * is sent, so that the first response and its repetitions are equal. A reply that comes after the request was aborted is dropped.
 */
function reply(ctx: Context, endpoint: Endpoint, returned: unknown): undefined {
  if (ctx.aborted) {
    if (returned instanceof Reply) discard(returned);
    return;
  }
  const { status, headers, payload } = ctx.recorder?.recorded ?? finish(endpoint, returned);
  ctx.reply(status, payload);
  Object.assign(ctx.headers, headers);
  if (endpoint.cacheFields !== undefined && status < 400) setCacheFields(ctx, endpoint.cacheFields);
}

/**
 * Serialises what a handler returned; a plain value is a 200. The headers are returned and not set, so that a reply that
 * cannot be serialised leaves none of them on the 500.
 */
function finish(endpoint: Endpoint, returned: unknown): FinishedReply {
  const { route } = endpoint;
  const made = returned instanceof Reply ? returned : new Reply(200, { kind: 'value', value: returned });
  const status: number = made.status;
  const { content } = made;
  const headers: Record<string, string> = {};
  let payload: Payload;
  if (content.kind === 'raw') {
    payload = content.payload;
    headers['content-type'] = content.contentType;
  } else if (content.kind === 'value') {
    payload = serialiserOf(endpoint, status)(content.value);
    headers['content-type'] = route.responses[status]?.contentType ?? 'application/json';
  }
  for (const [name, value] of Object.entries(made.headers)) headers[name] = String(value);
  return { status, headers, payload };
}

function discard({ content }: Reply<number, unknown>): void {
  if (content.kind === 'raw' && content.payload instanceof Readable) content.payload.destroy();
}

function serialiserOf({ route, serialisers }: Endpoint, status: number): Serialise {
  const serialise = serialisers.get(status);
  if (serialise !== undefined) return serialise;
  const detail = `${route.method} ${route.path} declares no response with a body for ${status}.`;
  throw new AppError('response_invalid', detail);
}

function replyToUnmatched(ctx: Context): undefined {
  const { match, target, method } = ctx;
  if (match.kind === 'trailing-slash') {
    // A 308 keeps the method and the body (RFC 9110, section 15.4.9).
    const mark = target.raw.indexOf('?');
    const path = mark < 0 ? target.raw : target.raw.slice(0, mark);
    ctx.headers.location = `${path.slice(0, -1)}${mark < 0 ? '' : target.raw.slice(mark)}`;
    ctx.reply(308, undefined);
    return undefined;
  }
  if (match.kind === 'wrong-method') {
    ctx.headers.allow = match.allow;
    if (method === 'OPTIONS') {
      ctx.reply(204, undefined);
      return undefined;
    }
    const detail = `This path supports ${match.allow}, not ${method}.`;
    return rejectRequest(ctx, new AppError('method_not_allowed', detail));
  }
  if (target.path === '*' && method === 'OPTIONS') {
    ctx.headers.allow = 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT';
    ctx.reply(204, undefined);
    return undefined;
  }
  return rejectRequest(ctx, new AppError('not_found', 'There is nothing at this path.'));
}
