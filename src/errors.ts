/**
 * The closed list of things that can go wrong, and the one error class that carries them.
 *
 * A part of the program that cannot go on throws `new AppError(code, detail)`. It does not know what
 * became of it: a job keeps the code in its history, the command line prints the sentence, and the HTTP side
 * turns it into an RFC 9457 problem with the status that `http/problem.ts` has for the code. An error that is
 * not an AppError is a bug or a broken machine; nobody but the log learns what it says.
 */

import { inspect } from 'node:util';

/** Every code an AppError can have. A new code needs a row in `http/problem.ts`, which the compiler asks for. */
export const errorCodes = [
  // The request itself cannot be understood.
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
  // It is understood, and refused.
  'not_found',
  'method_not_allowed',
  'method_not_implemented',
  'transfer_coding_not_implemented',
  'http_version_not_supported',
  'https_required',
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
  // The server cannot answer it now, or at all.
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
  'not_ready',
  'shutting_down',
  'response_invalid',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One fault in the input: where it is, as an RFC 6901 JSON Pointer into its part, and what to do about it. */
export interface FieldError {
  readonly in: 'body' | 'query' | 'path' | 'header';
  readonly pointer: string;
  readonly detail: string;
}

export interface AppErrorOptions {
  /** What went wrong underneath; logged, never shown to a client. */
  readonly cause?: unknown;
  /** The faults of single fields, for `validation_failed` and for a conflict that can name its field. */
  readonly errors?: readonly FieldError[];
  /** The layer that refused the request, as it is named in the pipeline. */
  readonly layer?: string;
  /** Response headers that belong to the refusal, with lower-case names, such as `allow` or `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An expected failure. `message` is a sentence for the client that says what to do; it must hold no secret. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[] | undefined;
  readonly layer: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors;
    this.layer = options.layer;
    this.headers = options.headers;
  }
}

/**
 * The start of the program cannot go on for a reason that the operator can mend. The message is one clear
 * sentence (or one line a fault); `main` prints it without a stack and exits with code 1.
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

/** How many errors of a chain are examined, so that a long list ends. */
const maxCauses = 32;

/**
 * Returns an error and the errors that caused it, outermost first: its `cause`, the errors of an AggregateError, and their
 * causes. Each is returned once, so that a cycle ends.
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

/** How many errors of a chain are named, so that a circle or a long list ends. */
const maxReasons = 8;
const maxReasonLength = 2_000;

/**
 * Why something failed, in one line without a period: the messages of an error and of its causes, joined by colons. An
 * error with several reasons, as Node has when each address of a host refuses, names them all. What an error says in
 * its own message already is not repeated. An error that was copied to plain data, or that comes from another realm, is
 * read like an Error. For operators; a client is told the message of an AppError alone.
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
  const said = [text, [...new Set(reasons.filter((each) => each !== ''))].join('; ')];
  for (const part of said) if (part !== '' && !parts.some((other) => other.includes(part))) parts.push(part);
  collectReasons(cause, parts, seen);
}

/** Anything can be thrown, and its properties can be anything, or throw themselves. */
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
