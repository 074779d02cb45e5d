/**
 * The closed list of things that can go wrong, and the one error class that carries them.
 *
 * A part of the program that cannot go on throws `new AppError(code, detail)`. It does not know what
 * became of it: a job keeps the code in its history, the command line prints the sentence, and the HTTP side
 * turns it into an RFC 9457 problem with the status that `http/problem.ts` has for the code. An error that is
 * not an AppError is a bug or a broken machine; nobody but the log learns what it says.
 */

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
