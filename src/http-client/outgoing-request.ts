import type { RedirectPolicy } from './redirect.ts';

/** A call of another service, as a feature describes it. */
export interface OutgoingRequest {
  /** The name of the called service in the log, in metrics and in errors: a constant, such as `billing`. */
  readonly service: string;
  /** GET by default. */
  readonly method?: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** A body that is sent as JSON. */
  readonly json?: unknown;
  /** Whether a POST or PATCH may be repeated, for example because it has an `Idempotency-Key`. */
  readonly idempotent?: boolean;
  /** The maximum number of retries; 2 by default. */
  readonly retries?: number;
  /** The time for the whole call with its retries, in milliseconds; 10 000 by default. */
  readonly timeoutMs?: number;
  /** The maximum size of the response, decompressed, in bytes; 1 MiB by default. */
  readonly maxResponseBytes?: number;
  /** Where redirects may lead; `same-origin` by default. */
  readonly redirect?: RedirectPolicy;
  /** Ends the call, in addition to the end of the current request. */
  readonly signal?: AbortSignal;
  /** Keeps the path out of the log, for URLs whose path is a secret. */
  readonly hidePath?: boolean;
}
