import { currentRequest } from '../observability/request-context.ts';
import { type OutgoingMessage, outgoingChannel } from '../observability/trace-channels.ts';
import { formatTraceparent, startSpan, type TraceContext } from '../observability/trace-context.ts';
import type { Received } from './exchange.ts';

/** The trace headers of a request. */
export type TraceHeaders = Readonly<Record<string, string>>;

/**
 * Calls `send` with the trace headers of a request to another service: those of its span, which is published for tracers, or
 * of the span of the current request if no tracer listens.
 */
export function traceOutgoing(
  describe: () => Pick<OutgoingMessage, 'service' | 'method' | 'url' | 'resendCount'>,
  send: (headers: TraceHeaders) => Promise<Received>,
): Promise<Received> {
  const parent = currentRequest()?.trace;
  if (!outgoingChannel.hasSubscribers) return send(headersOf(parent));
  const message: OutgoingMessage = { ...describe(), parent, trace: startSpan(parent) };
  return outgoingChannel.tracePromise(async () => {
    const received = await send(headersOf(message.trace));
    message.status = received.status;
    return received;
  }, message);
}

function headersOf(trace: TraceContext | undefined): TraceHeaders {
  if (trace === undefined) return {};
  const traceparent = formatTraceparent(trace);
  return trace.state === undefined ? { traceparent } : { traceparent, tracestate: trace.state };
}
