/**
 * Every error response is an RFC 9457 problem (`application/problem+json`). This file maps each error code to its status and
 * title, and renders problems.
 */

import { inspect } from 'node:util';
import { AppError, causesOf, type ErrorCode, type FieldError } from '../errors.ts';
import type { Context } from './context.ts';
import { noStore } from './headers/cache-control.ts';
import { pathReference } from './path-reference.ts';

export const problemContentType = 'application/problem+json';

export interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** The status (RFC 9110, section 15; RFC 6585) and title of each code. */
export const problemKinds: Readonly<Record<ErrorCode, ProblemKind>> = {
  bad_request: { status: 400, title: 'Bad request' },
  bad_target: { status: 400, title: 'Malformed request target' },
  bad_host: { status: 400, title: 'Malformed Host header' },
  misdirected_request: { status: 421, title: 'Host not served here' },
  malformed_body: { status: 400, title: 'Malformed body' },
  incomplete_body: { status: 400, title: 'Incomplete body' },
  request_timeout: { status: 408, title: 'Request took too long to arrive' },
  body_too_large: { status: 413, title: 'Body too large' },
  uri_too_long: { status: 414, title: 'Request target too long' },
  headers_too_large: { status: 431, title: 'Header fields too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  unsupported_encoding: { status: 415, title: 'Unsupported content encoding' },
  expectation_failed: { status: 417, title: 'Expectation failed' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  method_not_implemented: { status: 501, title: 'Method not implemented' },
  transfer_coding_not_implemented: { status: 501, title: 'Transfer coding not implemented' },
  http_version_not_supported: { status: 505, title: 'HTTP version not supported' },
  country_blocked: { status: 403, title: 'Country not served' },
  client_banned: { status: 429, title: 'Client banned for a while' },
  https_required: { status: 403, title: 'HTTPS required' },
  validation_failed: { status: 422, title: 'Validation failed' },
  unknown_task: { status: 422, title: 'Unknown task' },
  unauthenticated: { status: 401, title: 'Authentication required' },
  forbidden: { status: 403, title: 'Forbidden' },
  cross_origin_refused: { status: 403, title: 'Cross-origin request refused' },
  conflict: { status: 409, title: 'Conflict' },
  idempotency_running: { status: 409, title: 'Request with this key is running' },
  idempotency_mismatch: { status: 422, title: 'Key belongs to another request' },
  precondition_failed: { status: 412, title: 'Precondition failed' },
  rate_limited: { status: 429, title: 'Too many requests' },
  // The status that nginx logs for a client that has disconnected. It is never sent.
  client_gone: { status: 499, title: 'Client closed the request' },
  deadline_exceeded: { status: 503, title: 'Deadline exceeded' },
  overloaded: { status: 503, title: 'Too busy' },
  mail_disabled: { status: 503, title: 'No mail configured' },
  uploads_disabled: { status: 503, title: 'No uploads taken' },
  // RFC 4918, section 11.5.
  storage_full: { status: 507, title: 'No room on the disk' },
  database_disabled: { status: 503, title: 'No database configured' },
  database_unavailable: { status: 503, title: 'Database unavailable' },
  database_timeout: { status: 503, title: 'Database too slow' },
  database_busy: { status: 503, title: 'Database busy' },
  database_read_only: { status: 503, title: 'Database read-only' },
  database_impaired: { status: 503, title: 'Database impaired' },
  circuit_open: { status: 503, title: 'Route fails repeatedly' },
  not_ready: { status: 503, title: 'Not ready' },
  shutting_down: { status: 503, title: 'Shutting down' },
  outgoing_unavailable: { status: 503, title: 'Other service unavailable' },
  outgoing_timeout: { status: 504, title: 'Other service too slow' },
  outgoing_response_invalid: { status: 502, title: 'Other service answered incorrectly' },
  outgoing_refused: { status: 422, title: 'URL not called' },
  response_invalid: { status: 500, title: 'Internal error' },
  internal: { status: 500, title: 'Internal error' },
};

/** The body of an error response. `code`, `layer`, `request_id`, `errors` and `debug` are ours; the rest is RFC 9457, section 3.1. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance?: string;
  readonly code: ErrorCode;
  readonly layer?: string;
  readonly request_id?: string;
  readonly errors?: readonly FieldError[];
  /** The stacks of the error and of its causes; only if debugging is on. */
  readonly debug?: readonly string[];
}

/** Returns the URI of a problem type. It identifies the type and cannot be opened. */
export function problemType(code: string): string {
  return `urn:strata:problem:${code.replaceAll('_', '-')}`;
}

/** Returns the response status for a thrown value. */
export function statusOf(error: unknown): number {
  return error instanceof AppError ? problemKinds[error.code].status : 500;
}

/** The members of a problem that describe the request. */
export interface ProblemSubject {
  /** A URI reference (path-reference.ts). */
  readonly instance?: string | undefined;
  readonly requestId?: string | undefined;
  readonly debug?: boolean | undefined;
}

/** Returns the problem for a thrown value, as `renderProblem` writes it. */
export function describeProblem(error: unknown, subject: ProblemSubject): Problem {
  return JSON.parse(renderProblem(error, subject));
}

/**
 * Returns the problem for a thrown value as JSON. It shows the message of an AppError, and nothing of any other error. The text
 * is put together, because every rejection needs one: the members of a code are written once, and only texts that can contain
 * any character are quoted. A path reference and a request id contain no character that needs it.
 */
export function renderProblem(error: unknown, { instance, requestId, debug }: ProblemSubject): string {
  const known = error instanceof AppError ? error : undefined;
  // Our own errors are not shown to the client.
  const code = known === undefined || statusOf(known) === 500 ? 'internal' : known.code;
  const { head, tail } = fixedMembers[code];
  const detail = known === undefined || code === 'internal' ? internalDetail : boundDetail(known.message);
  let text = head + JSON.stringify(detail);
  if (instance !== undefined) text += `,"instance":"${instance}"`;
  text += tail;
  if (known?.layer !== undefined) text += `,"layer":"${known.layer}"`;
  if (requestId) text += `,"request_id":"${requestId}"`;
  if (known?.errors !== undefined) text += `,"errors":${JSON.stringify(known.errors.map(boundFieldError))}`;
  if (debug) text += `,"debug":${JSON.stringify(causesOf(error).slice(0, maxStacks).map(stackOf))}`;
  return `${text}}`;
}

/** The members of a problem that follow from its code, as JSON: those before `detail`, and `code`. */
const fixedMembers = renderFixedMembers();

function renderFixedMembers(): Readonly<Record<ErrorCode, { readonly head: string; readonly tail: string }>> {
  const rendered = Object.entries(problemKinds).map(([code, { status, title }]) => {
    const type = problemType(code);
    const head = `${JSON.stringify({ type, title, status }).slice(0, -1)},"detail":`;
    return [code, { head, tail: `,"code":"${code}"` }];
  });
  return Object.fromEntries(rendered);
}

/** Limits of `detail` and `pointer`, which can contain names from the request. The OpenAPI document states both. */
export const maxDetailLength = 4096;
export const maxPointerLength = 1000;

function boundDetail(detail: string): string {
  return detail.length <= maxDetailLength
    ? detail
    : `${detail.slice(0, maxDetailLength - 1).toWellFormed()}…`;
}

/** If the pointer is too long, the error is reported at the nearest enclosing value with a pointer that is not. */
function boundFieldError(error: FieldError): FieldError {
  const { pointer } = error;
  const detail = boundDetail(error.detail);
  if (pointer.length <= maxPointerLength) return { ...error, detail };
  return {
    ...error,
    pointer: pointer.slice(0, pointer.lastIndexOf('/', maxPointerLength)),
    detail: boundDetail(`Inside this value, under a name that is too long to repeat: ${error.detail}`),
  };
}

const internalDetail =
  'The server could not handle this request because of an internal error. Quote the request id when you report it.';

/**
 * Ends the request with the problem of an expected failure, without throwing it: for the rejections that clients can cause in
 * floods, because a throw through all layers costs about a tenth of such a request. The outer layers see `ctx.error`.
 */
export function rejectRequest(ctx: Context, error: AppError): undefined {
  // After the deadline the response has been sent.
  if (!ctx.aborted) replyWithProblem(ctx, error, false);
}

/** Sets the response to the problem of a thrown value. Headers that layers have set stay, except those that describe a body. */
export function replyWithProblem(ctx: Context, error: unknown, debug: boolean): void {
  const problem = renderProblem(error, { instance: pathReference(ctx.target.raw), requestId: ctx.id, debug });
  for (const name of bodyHeaders) if (name in ctx.headers) delete ctx.headers[name];
  // The route may have declared its response as cacheable, and a layer rejected it afterwards.
  if (ctx.headers['cache-control']?.includes('no-store') === false) ctx.headers['cache-control'] = noStore;
  if (error instanceof AppError && error.headers !== undefined) Object.assign(ctx.headers, error.headers);
  ctx.error = error;
  ctx.reply(statusOf(error), problem, problemContentType);
}

const bodyHeaders = [
  'etag',
  'last-modified',
  'content-encoding',
  'content-length',
  'content-disposition',
  'location',
  'link',
];

const maxStacks = 8;

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : inspect(error);
}
