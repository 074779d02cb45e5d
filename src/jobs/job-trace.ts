import {
  formatTraceparent,
  parseTraceContext,
  startSpan,
  type TraceContext,
} from '../observability/trace-context.ts';

/** The span that enqueued a job, as the table stores it: the two headers of W3C Trace Context. */
export interface StoredTrace {
  readonly traceparent: string | null;
  readonly tracestate: string | null;
}

/** Returns what the table stores of the span that enqueues a job. */
export function toStoredTrace(trace: TraceContext | undefined): StoredTrace {
  if (trace === undefined) return { traceparent: null, tracestate: null };
  return { traceparent: formatTraceparent(trace), tracestate: trace.state ?? null };
}

/** Returns the claimed row with a new span for its attempt, and the span that enqueued the job as its parent. */
export function withAttemptSpan<Row extends StoredTrace>({ traceparent, tracestate, ...row }: Row) {
  const parent = traceparent === null ? undefined : parseTraceContext(traceparent, tracestate ?? undefined);
  return { ...row, trace: startSpan(parent), parent };
}
