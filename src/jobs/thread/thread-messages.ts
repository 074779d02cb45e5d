/** What a runner and its threads say to each other. Everything is plain data that `structuredClone` takes. */

import type { EventName } from '../../observability/events.ts';
import type { JobErrorCode } from '../job.ts';

/** One attempt of a job, as a thread is given it. */
export interface Attempt {
  readonly id: number;
  readonly name: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly userId: number | null;
  readonly requestId: string | null;
  /** The runner that has claimed it: with the attempt, what fences. */
  readonly runner: number;
}

/** Why an attempt is to end before its time. `drain`: the runner stops. `lost`: it is no longer this runner's. */
export type AbortReason = 'cancelled' | 'timeout' | 'drain' | 'lost';

export interface AttemptError {
  readonly code: JobErrorCode;
  readonly message: string;
  readonly details?: unknown;
  readonly stack?: string;
}

/** How an attempt ended. */
export type Outcome =
  /** The result as JSON text, null for none: it is still to be recorded. */
  | { readonly kind: 'returned'; readonly result: string | null }
  /** It has recorded its completion itself, in its own transaction. */
  | { readonly kind: 'committed' }
  /** To be tried again if attempts are left; `final` means not. */
  | { readonly kind: 'failed'; readonly error: AttemptError; readonly final: boolean }
  | { readonly kind: 'snoozed'; readonly delayMs: number }
  /** It ended, by itself or with its thread, because it was told to. */
  | { readonly kind: 'aborted'; readonly reason: AbortReason };

export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number;
  readonly message: string | null;
}

export type ToThread =
  | { readonly kind: 'run'; readonly attempt: Attempt }
  /** Only to a thread that runs an attempt: the one that is told to end. */
  | { readonly kind: 'abort'; readonly reason: AbortReason }
  /** There is nothing more to run: close everything, so that the thread ends by itself. */
  | { readonly kind: 'end' };

export type FromThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: Progress }
  | { readonly kind: 'ended'; readonly id: number; readonly outcome: Outcome }
  /** Something was thrown that nobody caught, by what job `id` has started; null if nobody knows by what. */
  | { readonly kind: 'error'; readonly id: number | null; readonly error: AttemptError }
  /** An event that the thread has logged, and below, the line of it if its level has one. */
  | { readonly kind: 'event'; readonly event: EventName }
  | { readonly kind: 'line'; readonly line: string };
