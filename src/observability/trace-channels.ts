/**
 * The operations that a tracer can record as spans, published through `node:diagnostics_channel`. docs/tracing.md describes the
 * channels and their messages for tracers; `deploy/tracing/opentelemetry.mjs` is one.
 *
 *     strata.http.request         a request, until its response is sent
 *       ├─ strata.db.query        a SQL statement
 *       ├─ strata.http_client.request   an HTTP request to another service; each retry is one
 *       └─ strata.jobs.attempt    an attempt of a job that the request has enqueued, in a thread of another process
 *
 * Each is a TracingChannel of Node with the events start, end, asyncStart, asyncEnd and error. All events of one operation have
 * the same message, to which its outcome is added before asyncEnd. A tracer that binds its AsyncLocalStorage to `start` finds
 * its span in everything that the operation does.
 *
 * Without a subscriber nothing is published, no message is made, and each operation costs one check.
 */

import { channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import { withTimeout } from '../concurrency/with-timeout.ts';
import type { TraceContext } from './trace-context.ts';

/** The outcome of an operation, known at its asyncEnd. */
interface Outcome {
  /** Why it failed. Its message can contain values of users. */
  error?: unknown;
}

/** An operation whose ids the program knows, because they are in log lines, headers or jobs. */
interface SpanIds {
  /** The ids of its span. A tracer that makes ids of its own, or that samples, replaces it during `start`. */
  trace: TraceContext;
  /** The span that caused it; undefined if the trace starts here. */
  readonly parent: TraceContext | undefined;
}

export interface RequestMessage extends SpanIds, Outcome {
  readonly method: string;
  /** The template of the route, such as `/api/v1/users/{id}`; undefined if no route matches. */
  readonly route: string | undefined;
  /** Path and query, with secrets masked. The query has no question mark. */
  readonly path: string;
  readonly query: string;
  readonly requestId: string;
  readonly httpVersion: string;
  /** The context of a client whose trace is not continued (`APP_TRACE_CONTEXT=restart`). */
  readonly link: TraceContext | undefined;
  /** At the end: what the layer `proxy-headers` has found out. */
  clientAddress?: string;
  scheme?: string;
  host?: string;
  /** At the end; undefined if the client was gone before the response. */
  status?: number | undefined;
}

export interface QueryMessage extends Outcome {
  /** The database of the URL. The host is undefined for a Unix domain socket. */
  readonly target: QueryTarget;
  /** At the end: the statement on one line, with `$1` for a parameter, cut to 1,000 characters. */
  statement?: string;
  /** At the end, if it succeeded: the command tag, such as `SELECT`, and the number of rows. */
  command?: string | undefined;
  rows?: number | undefined;
}

export interface QueryTarget {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
}

export interface OutgoingMessage extends SpanIds, Outcome {
  readonly service: string;
  readonly method: string;
  /** Without query and credentials, and with secrets in the path masked. */
  readonly url: string;
  /** 0 for the first request of a call. */
  readonly resendCount: number;
  /** At the end, if there was a response. */
  status?: number;
}

export interface AttemptMessage extends SpanIds, Outcome {
  readonly jobId: number;
  readonly task: string;
  readonly attempt: number;
  /** At the end: `returned`, `committed`, `failed`, `snoozed` or `aborted`. */
  outcome?: string;
}

/** Published before a process or thread exits. */
export interface StopMessage {
  /** Delays the exit until the promise has settled, within the time that the process has left. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

export const requestChannel: TracingChannel<unknown, RequestMessage> = tracingChannel('strata.http.request');
export const queryChannel: TracingChannel<unknown, QueryMessage> = tracingChannel('strata.db.query');
export const outgoingChannel: TracingChannel<unknown, OutgoingMessage> = tracingChannel(
  'strata.http_client.request',
);
export const attemptChannel: TracingChannel<unknown, AttemptMessage> = tracingChannel('strata.jobs.attempt');
const stopChannel = channel('strata.stop');

/** Publishes the start of an operation and runs `work` in it. For an operation whose end is not that of a promise. */
export function beginOperation<Message extends object, Result>(
  operation: TracingChannel<unknown, Message>,
  message: Message,
  work: () => Result,
): Result {
  return operation.start.runStores(message, () => {
    try {
      return work();
    } finally {
      operation.end.publish(message);
    }
  });
}

/** Publishes the end of an operation that `beginOperation` has started. */
export function endOperation<Message extends Outcome>(
  operation: TracingChannel<unknown, Message>,
  message: Message,
  error: unknown,
): void {
  if (error !== undefined) {
    message.error = error;
    operation.error.publish(message);
  }
  operation.asyncStart.publish(message);
  operation.asyncEnd.publish(message);
}

/** Lets tracers send their last spans before the process or thread exits. Resolves after `limitMs` at the latest; never rejects. */
export async function finishTracing(limitMs: number): Promise<void> {
  if (!stopChannel.hasSubscribers) return;
  const works: Promise<unknown>[] = [];
  const message: StopMessage = { waitUntil: (work) => void works.push(work) };
  stopChannel.publish(message);
  await withTimeout(Promise.allSettled(works), limitMs, () => {});
}
