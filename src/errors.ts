/**
 * The closed list of error codes, and the two error classes.
 *
 *     AppError(code, detail)   an expected failure: in a request it becomes an RFC 9457 problem with the status that
 *                              http/problem.ts maps the code to; a job stores the code; a command prints the sentence
 *     StartError(message)      the program cannot start; the operator can fix the reason
 *     any other error          a bug, or a broken machine; only the log shows its message
 */

import { inspect } from 'node:util';

/** All codes of AppErrors. The compiler requires a row in `http/problem.ts` for each code. */
export const errorCodes = [
  // The request is malformed.
  'bad_request',
  'bad_target',
  'bad_host',
  'misdirected_request',
  'malformed_body',
  'incomplete_body',
  'request_timeout',
  'body_too_large',
  'uri_too_long',
  'headers_too_large',
  'unsupported_media_type',
  'unsupported_encoding',
  'expectation_failed',
  // The request is well-formed, but rejected.
  'not_found',
  'method_not_allowed',
  'method_not_implemented',
  'transfer_coding_not_implemented',
  'http_version_not_supported',
  'https_required',
  'country_blocked',
  'client_banned',
  'validation_failed',
  'unknown_task',
  'unauthenticated',
  'forbidden',
  'cross_origin_refused',
  'conflict',
  'idempotency_running',
  'idempotency_mismatch',
  'precondition_failed',
  'rate_limited',
  'client_gone',
  // The server cannot handle the request now, or at all.
  'deadline_exceeded',
  'overloaded',
  'mail_disabled',
  'uploads_disabled',
  'storage_full',
  'database_disabled',
  'database_unavailable',
  'database_timeout',
  'database_busy',
  'database_read_only',
  'database_impaired',
  'circuit_open',
  'not_ready',
  'shutting_down',
  // A call of another service (http-client/).
  'outgoing_unavailable',
  'outgoing_timeout',
  'outgoing_response_invalid',
  'outgoing_refused',
  'response_invalid',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** An error in one field of the input: its place, as a JSON Pointer (RFC 6901) into its part, and what to do about it. */
export interface FieldError {
  readonly in: 'body' | 'query' | 'path' | 'header';
  readonly pointer: string;
  readonly detail: string;
}

export interface AppErrorOptions {
  /** The underlying error. It is logged and never sent to a client. */
  readonly cause?: unknown;
  /** The invalid fields, for `validation_failed` and for a conflict of a certain field. */
  readonly errors?: readonly FieldError[];
  /** The name of the layer that rejected the request. */
  readonly layer?: string;
  /** Headers of the error response, with lower-case names, such as `allow` or `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the request had credentials that were never valid, and so may be a guess. It counts against the client. */
  readonly isGuess?: boolean;
}

/** The codes of AppErrors that are faults of the program. */
const faultCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['response_invalid', 'internal']);

/** Returns whether an AppError is a fault of the program, and not an expected failure. */
export function isFault({ code }: AppError): boolean {
  return faultCodes.has(code);
}

let recordsStacks = true;

/**
 * Sets whether AppErrors record where they were created. A stack costs several microseconds, more than the rest of a rejection,
 * and the code and the layer of an expected failure say where it comes from. So a server turns it off, unless it debugs: a
 * client that is rejected again and again must not cost more than one that is served. Faults of the program always have one.
 */
export function recordStacksOfAppErrors(on: boolean): void {
  recordsStacks = on;
}

/** Calls a function, and the errors that it creates have no stack. */
export function withoutStacks<Result>(work: () => Result): Result {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** An expected failure. `message` is for the client, with what to do about it; it must contain no secret. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[] | undefined;
  readonly layer: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly isGuess: boolean;

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    const { stackTraceLimit } = Error;
    if (!recordsStacks && !faultCodes.has(code)) Error.stackTraceLimit = 0;
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors;
    this.layer = options.layer;
    this.headers = options.headers;
    this.isGuess = options.isGuess ?? false;
  }
}

/**
 * The program cannot start for a reason that the operator can fix. The message is one sentence, or one line per problem. The
 * program prints it without a stack and exits with code 1.
 */
export class StartError extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'StartError';
  }
}

/**
 * Returns the sentence part "needs the package X: run `npm install X`" for an optional package that could not be loaded
 * because it is not installed. Rethrows every other error of `import()` or `require()`.
 */
export function needsPackage(name: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw error;
  return `needs the package ${name}: run \`npm install ${name}\``;
}

/** How many errors of a chain are examined, so that a long list takes bounded time. */
const maxCauses = 32;

/**
 * Returns an error and the errors that caused it, outermost first: its `cause`, the errors of an AggregateError, and their
 * causes. Each is returned once, so that a cycle of causes is no endless loop.
 */
export function causesOf(error: unknown): unknown[] {
  const found = new Set<unknown>([error]);
  // The iteration includes the errors that are added to the set meanwhile.
  for (const each of found) {
    if (found.size >= maxCauses) break;
    if (each instanceof AggregateError) for (const reason of each.errors) found.add(reason);
    if (each instanceof Error && each.cause !== undefined) found.add(each.cause);
  }
  return [...found];
}

/** The maximum number of errors in a reason; a chain of causes can be long or circular. */
const maxReasons = 8;
const maxReasonLength = 2_000;

/**
 * Returns the reason of an error in one line without a final period, for operators: the messages of the error and of its
 * causes, joined by colons. An AggregateError, such as Node throws if every address of a host refuses a connection, lists all
 * of its errors. A message that contains that of its cause is not followed by it. Errors that were copied to plain data or come
 * from another realm are read in the same way.
 */
export function reasonOf(error: unknown): string {
  const parts: string[] = [];
  collectReasons(error, parts, new Set());
  return parts.join(': ') || 'no reason was given';
}

function collectReasons(error: unknown, parts: string[], seen: Set<unknown>): void {
  if (error === undefined || error === null || seen.has(error) || seen.size >= maxReasons) return;
  seen.add(error);
  const { text, errors, cause } = readError(error);
  const reasons = errors.map((each) => {
    const own: string[] = [];
    collectReasons(each, own, seen);
    return own.join(': ');
  });
  const messages = [text, [...new Set(reasons.filter((each) => each !== ''))].join('; ')];
  for (const part of messages)
    if (part !== '' && !parts.some((other) => other.includes(part))) parts.push(part);
  collectReasons(cause, parts, seen);
}

/** Any value can be thrown, and its properties can have any type, or throw when they are read. */
function readError(error: unknown): { text: string; errors: readonly unknown[]; cause: unknown } {
  try {
    if (typeof error !== 'object' || error === null) {
      return { text: oneLine(String(error)), errors: [], cause: undefined };
    }
    if (!(error instanceof Error) && !('message' in error)) {
      return { text: oneLine(inspect(error, { depth: 2 })), errors: [], cause: undefined };
    }
    const errors: unknown = error instanceof AggregateError ? error.errors : undefined;
    const list = Array.isArray(errors) ? errors : [];
    const message = textOf(error, 'message');
    const text = message !== '' || list.length > 0 ? message : textOf(error, 'code') || textOf(error, 'name');
    return { text, errors: list, cause: 'cause' in error ? error.cause : undefined };
  } catch {
    return { text: 'an error that cannot be read', errors: [], cause: undefined };
  }
}

function textOf(error: object, property: string): string {
  const value: unknown = Reflect.get(error, property);
  return typeof value === 'string' ? oneLine(value) : '';
}

function oneLine(text: string): string {
  return text.slice(0, maxReasonLength).replace(/\s+/g, ' ').trim().replace(/\.$/, '');
}

/** Returns the code of an error of the system or of Node, such as `ENOENT`; undefined for an error without one. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Returns a path of keys and indices as a JSON Pointer (RFC 6901); the empty pointer is the whole value. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
