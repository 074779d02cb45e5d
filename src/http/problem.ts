/**
 * Every refusal looks the same: an RFC 9457 problem (`application/problem+json`). This file has the one table
 * from an error's code to its status and title, and the rendering.
 */

import { inspect } from 'node:util';
import { AppError, causesOf, type ErrorCode, type FieldError } from '../errors.ts';
import type { Context } from './context.ts';
import { pathReference } from './path-reference.ts';

export const problemContentType = 'application/problem+json';

export interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** The status (RFC 9110, section 15; RFC 6585) and the title of each code. */
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
  // 499 is nginx's number for a client that went away; it stands in the log, nobody is left to read it.
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
  not_ready: { status: 503, title: 'Not ready' },
  shutting_down: { status: 503, title: 'Shutting down' },
  response_invalid: { status: 500, title: 'Internal error' },
  internal: { status: 500, title: 'Internal error' },
};

/** The body of a problem answer. `code` and `layer` are ours; the rest is RFC 9457, section 3.1. */
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
  /** Only with debugging on: the stack of the error and of its causes. */
  readonly debug?: readonly string[];
}

/** The URI that names a kind of problem. It is a name to compare, not an address to open. */
export function problemType(code: ErrorCode): string {
  return `urn:strata:problem:${code.replaceAll('_', '-')}`;
}

/** The status that a thrown thing is answered with. */
export function statusOf(error: unknown): number {
  return error instanceof AppError ? problemKinds[error.code].status : 500;
}

/** What a client may know of a thrown thing: all of an AppError's sentence, nothing of anything else. */
export function describeProblem(
  error: unknown,
  about: { instance?: string; requestId?: string; debug?: boolean },
): Problem {
  const known = error instanceof AppError ? error : undefined;
  // Whatever the fault of our own is, the client learns only that there is one.
  const code = known === undefined || statusOf(known) === 500 ? 'internal' : known.code;
  const { status, title } = problemKinds[code];
  return {
    type: problemType(code),
    title,
    status,
    detail: known === undefined || code === 'internal' ? internalDetail : boundDetail(known.message),
    ...(about.instance !== undefined && { instance: about.instance }),
    code,
    ...(known?.layer !== undefined && { layer: known.layer }),
    ...(about.requestId && { request_id: about.requestId }),
    ...(known?.errors !== undefined && { errors: known.errors.map(boundFieldError) }),
    ...(about.debug && { debug: causesOf(error).slice(0, maxStacks).map(stackOf) }),
  };
}

/** The longest `detail` and `pointer`; the OpenAPI document promises both, and either can hold names of the client. */
export const maxDetailLength = 4096;
export const maxPointerLength = 1000;

function boundDetail(detail: string): string {
  return detail.length <= maxDetailLength
    ? detail
    : `${detail.slice(0, maxDetailLength - 1).toWellFormed()}…`;
}

/** A fault whose pointer would be too long is shown at the nearest part around it that has a shorter one. */
function boundFieldError(error: FieldError): FieldError {
  const { pointer } = error;
  const detail = boundDetail(error.detail);
  if (pointer.length <= maxPointerLength) return { ...error, detail };
  return {
    ...error,
    pointer: pointer.slice(0, pointer.lastIndexOf('/', maxPointerLength)),
    detail: boundDetail(`In this, under a name that is too long to be repeated: ${error.detail}`),
  };
}

const internalDetail =
  'The server could not answer this request because of a fault of its own. Quote the request id when you report it.';

/** Makes a thrown thing the answer of the request. Headers that layers have set stay, except what described a body. */
export function replyWithProblem(ctx: Context, error: unknown, debug: boolean): void {
  const instance = pathReference(ctx.target.raw);
  const problem = describeProblem(error, {
    ...(instance !== undefined && { instance }),
    requestId: ctx.id,
    debug,
  });
  for (const name of bodyHeaders) if (name in ctx.headers) delete ctx.headers[name];
  if (error instanceof AppError && error.headers !== undefined) Object.assign(ctx.headers, error.headers);
  ctx.error = error;
  ctx.reply(problem.status, JSON.stringify(problem), problemContentType);
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
