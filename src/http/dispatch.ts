/**
 * The end of the pipeline: validate, call the handler, serialise. A matched route is prepared once, when the
 * application is made; a request then only runs what its route declares.
 */

import { Readable } from 'node:stream';
import { AppError, type FieldError, StartError } from '../errors.ts';
import { type BodyLimits, receiveBody, waitForBody } from './body/body.ts';
import { discardForm, type Form, receiveForm, type Upload } from './body/multipart.ts';
import { parseBody } from './body/parse-body.ts';
import { after } from './compose.ts';
import type { Context, Done, Payload } from './context.ts';
import { type MediaType, parseMediaType } from './headers/media-type.ts';
import { parseQuery } from './query.ts';
import { Reply } from './reply.ts';
import { createRecordReply, type FinishedReply } from './reply-recorder.ts';
import type { Route, RouteRequest } from './route.ts';
import { createSerialiser, type Serialise } from './serialise.ts';
import { type Part, type PartInput, validatePart, validationFailed } from './validate.ts';

/** A route made ready to run: its serialisers compiled, its defaults filled in. */
export interface PreparedRoute {
  readonly route: Route;
  readonly bodyLimits: BodyLimits;
  /** The media types that the route's body may have; empty when it takes none. */
  readonly accepts: readonly string[];
  /** The success status of a plain value. */
  readonly serialisers: ReadonlyMap<number, Serialise>;
}

/** Fills in what the route leaves to defaults. Throws a StartError for declarations that exclude each other. */
export function prepareRoute(route: Route, defaults: BodyLimits): PreparedRoute {
  const operation = `${route.method} ${route.path}`;
  if (route.upload !== undefined && route.idempotent) {
    throw new StartError(
      `${operation} cannot be both idempotent and an upload: a repetition is known by the whole body, which is not kept in memory.`,
    );
  }
  const serialisers = new Map<number, Serialise>();
  for (const [status, spec] of Object.entries(route.responses)) {
    if (spec.schema !== undefined) serialisers.set(Number(status), createSerialiser(spec.schema, operation));
  }
  return {
    route,
    bodyLimits: { maxBytes: route.maxBody ?? defaults.maxBytes, timeoutMs: defaults.timeoutMs },
    accepts: route.body === undefined ? [] : (route.accepts ?? ['application/json']),
    serialisers,
  };
}

/** Answers the request by its route; an unmatched one with the refusal that its match stands for. */
export function dispatch(ctx: Context): Done {
  const { match } = ctx;
  if (ctx.messageError !== undefined) throw ctx.messageError;
  if (match.kind !== 'found') return replyToUnmatched(ctx);
  const prepared = match.value;
  const { body, upload } = prepared.route;
  if (body !== undefined && ctx.rawBody === undefined && ctx.bodyState !== 'absent') {
    if (upload !== undefined) return handleUpload(ctx, prepared, match.params, upload);
    return receiveBody(ctx, prepared.bodyLimits).then(() => handle(ctx, prepared, match.params));
  }
  return handle(ctx, prepared, match.params);
}

/** The file is the handler's once it has answered; whatever is thrown before removes it. */
async function handleUpload(
  ctx: Context,
  prepared: PreparedRoute,
  pathParams: unknown,
  upload: Upload,
): Promise<void> {
  if (!(await waitForBody(ctx, prepared.bodyLimits))) return handle(ctx, prepared, pathParams);
  const form = await receiveForm(ctx, upload, prepared.bodyLimits);
  try {
    await handle(ctx, prepared, pathParams, form);
  } catch (error) {
    await discardForm(form);
    throw error;
  }
}

function handle(ctx: Context, prepared: PreparedRoute, pathParams: unknown, form?: Form): Done {
  const { route } = prepared;
  const request = validateRequest(ctx, prepared, pathParams, form);
  return after(route.handler(request), (returned) => reply(ctx, prepared, returned));
}

function validateRequest(
  ctx: Context,
  prepared: PreparedRoute,
  pathParams: unknown,
  form: Form | undefined,
): RouteRequest<unknown, unknown, unknown, unknown, unknown> {
  const { route } = prepared;
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
    recordReply: createRecordReply(ctx, (returned) => finish(prepared, returned)),
    ctx,
  };
  if (errors.length > 0) throw validationFailed(errors);
  return request;
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

/** The body's value; undefined when the request has none, which a schema may allow. */
function readBody(ctx: Context): unknown {
  if (ctx.rawBody === undefined) return undefined;
  const header = ctx.request.headers['content-type'];
  return parseBody(ctx.rawBody, (header === undefined ? undefined : parseMediaType(header)) ?? octets);
}

/**
 * Puts what the handler returned into the context, or what was kept of it for a repetition of the request: the two are
 * never told apart. What comes after the request was given up goes nowhere: it has been answered.
 */
function reply(ctx: Context, prepared: PreparedRoute, returned: unknown): undefined {
  if (ctx.aborted) {
    if (returned instanceof Reply) discard(returned);
    return;
  }
  const { status, headers, payload } = ctx.recorder?.recorded ?? finish(prepared, returned);
  ctx.reply(status, payload);
  Object.assign(ctx.headers, headers);
}

/**
 * Makes ready what a handler returned: the plain value is the value of a 200. Throws before any of its headers is in
 * the context, so that an answer that cannot be serialised leaves none of them on the 500.
 */
function finish(prepared: PreparedRoute, returned: unknown): FinishedReply {
  const { route } = prepared;
  const answer = returned instanceof Reply ? returned : new Reply(200, { kind: 'value', value: returned });
  const status: number = answer.status;
  const { content } = answer;
  const headers: Record<string, string> = {};
  let payload: Payload;
  if (content.kind === 'raw') {
    payload = content.payload;
    headers['content-type'] = content.contentType;
  } else if (content.kind === 'value') {
    payload = serialiserOf(prepared, status)(content.value);
    headers['content-type'] = route.responses[status]?.contentType ?? 'application/json';
  }
  for (const [name, value] of Object.entries(answer.headers)) headers[name] = String(value);
  if (route.cache !== undefined && status < 400) headers['cache-control'] = route.cache;
  return { status, headers, payload };
}

function discard({ content }: Reply<number, unknown>): void {
  if (content.kind === 'raw' && content.payload instanceof Readable) content.payload.destroy();
}

function serialiserOf({ route, serialisers }: PreparedRoute, status: number): Serialise {
  const serialise = serialisers.get(status);
  if (serialise !== undefined) return serialise;
  const detail = `${route.method} ${route.path} declares no response with a body for ${status}.`;
  throw new AppError('response_invalid', detail);
}

function replyToUnmatched(ctx: Context): undefined {
  const { match, target, method } = ctx;
  if (match.kind === 'trailing-slash') {
    // The same target without the slash; 308 keeps the method and the body (RFC 9110, section 15.4.9).
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
    throw new AppError('method_not_allowed', `This path answers ${match.allow}, not ${method}.`);
  }
  if (target.path === '*' && method === 'OPTIONS') {
    ctx.headers.allow = 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT';
    ctx.reply(204, undefined);
    return undefined;
  }
  throw new AppError('not_found', 'There is nothing at this path.');
}
