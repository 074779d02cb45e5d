/** The messages between a runner and its threads. All are plain data for `structuredClone`. */

import type { EventName } from '../../observability/events.ts';
import type { TraceContext } from '../../observability/trace-context.ts';
import type { JobErrorCode } from '../job.ts';

/** One attempt of a job, as it is sent to a thread. */
export interface Attempt {
  readonly id: number;
  readonly name: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly userId: number | null;
  readonly requestId: string | null;
  /** Its own span. */
  readonly trace: TraceContext;
  /** The span that enqueued the job. */
  readonly parent?: TraceContext | undefined;
  /** The runner that has claimed it. Fencing compares it and the attempt. */
  readonly runner: number;
}

/** Why an attempt is aborted. `drain`: the runner is stopping. `lost`: the job no longer belongs to the runner. */
export type AbortReason = 'cancelled' | 'timeout' | 'drain' | 'lost';

export interface AttemptError {
  readonly code: JobErrorCode;
  readonly message: string;
  readonly details?: unknown;
  readonly stack?: string;
}

/** The outcome of an attempt. */
export type Outcome =
  /** The result as JSON text, null if there is none. The completer must still record it. */
  | { readonly kind: 'returned'; readonly result: string | null }
  /** The attempt has completed the job in its own transaction. */
  | { readonly kind: 'committed' }
  /** Retried if attempts are left, unless `final`. */
  | { readonly kind: 'failed'; readonly error: AttemptError; readonly final: boolean }
  | { readonly kind: 'snoozed'; readonly delayMs: number }
  /** It was aborted: it stopped by itself, or its thread was terminated. A timeout is `failed`. */
  | { readonly kind: 'aborted'; readonly reason: Exclude<AbortReason, 'timeout'> };

export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number;
  readonly message: string | null;
}

export type ToThread =
  | { readonly kind: 'run'; readonly attempt: Attempt }
  /** Aborts the attempt that the thread runs. */
  | { readonly kind: 'abort'; readonly reason: AbortReason }
  /** No attempt will follow: the thread closes its resources and exits. */
  | { readonly kind: 'end' };

export type FromThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: Progress }
  | { readonly kind: 'ended'; readonly id: number; readonly outcome: Outcome }
  /** An uncaught error in code started by job `id`; null if the job is unknown. */
  | { readonly kind: 'error'; readonly id: number | null; readonly error: AttemptError }
  /** An event that the thread logged; `line` follows if its level is enabled. */
  | { readonly kind: 'event'; readonly event: EventName }
  | { readonly kind: 'line'; readonly line: string };
