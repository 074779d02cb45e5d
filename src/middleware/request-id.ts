import type { Middleware } from '../http/context.ts';
import { createUuids } from '../http/parameters/uuid.ts';
import { maskForms } from '../observability/log/mask-forms.ts';
import { runInRequest } from '../observability/request-context.ts';

/** The ids accepted from a client: short, and harmless in a header, a log line and a shell. */
const acceptable = /^[A-Za-z0-9._-]{1,128}$/;

/** version "-" trace-id "-" parent-id "-" flags, W3C Trace Context, section 3.2. */
const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;
const noTrace = '0'.repeat(32);

/**
 * Assigns an id to every request: the `X-Request-ID` of the client if it is acceptable, else the trace id of its
 * `traceparent`, else a new UUID. The response carries the id, and so does every log line written while the request is
 * handled, at any depth of the call stack (observability/request-context.ts).
 */
export function requestId(): Middleware {
  const newId = createUuids();
  return function requestId(ctx, next) {
    const { headers } = ctx.request;
    const given = headers['x-request-id'];
    ctx.id =
      typeof given === 'string' && isAcceptable(given) ? given : (traceId(headers.traceparent) ?? newId());
    ctx.headers['x-request-id'] = ctx.id;
    return runInRequest({ id: ctx.id, signal: ctx.abortSource }, () => next(ctx));
  };
}

/** Rejects an id that looks like a credential: it would appear in every log line of the request. */
function isAcceptable(id: string): boolean {
  return acceptable.test(id) && maskForms(id) === id;
}

function traceId(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined;
  const id = traceparent.exec(header)?.[1];
  return id === noTrace ? undefined : id;
}
