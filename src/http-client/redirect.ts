import { AppError } from '../errors.ts';
import { invalid } from './exchange.ts';

/** Where redirects may lead: to the same origin, to any public origin, or they are returned to the caller. */
export type RedirectPolicy = 'same-origin' | 'any-origin' | 'manual';

/** A request that may be redirected. */
export interface Hop {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
}

const redirects = new Set([301, 302, 303, 307, 308]);

/** The fields that another origin gets too. Any other one can be a credential of the first. */
const harmless =
  /^(?:accept|accept-encoding|accept-language|content-.*|user-agent|x-request-id|traceparent|tracestate)$/;

/** Throws an AppError for a URL that is not called: another scheme than http and https, or a URL with credentials. */
export function parseOutgoingUrl(text: string | URL, base?: URL): URL {
  const url = URL.canParse(String(text), base?.href) ? new URL(String(text), base?.href) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new AppError('outgoing_refused', 'The URL must be a complete http or https URL.');
  if (url.username !== '' || url.password !== '')
    throw new AppError('outgoing_refused', 'The URL must not contain a user name or a password.');
  url.hash = '';
  return url;
}

/**
 * Returns the request that follows a response: undefined if it is not a redirect, or if the caller handles redirects. 303, and
 * 301 and 302 after a POST, are followed with GET (RFC 9110, section 15.4). Throws an AppError for a redirect that the policy
 * forbids.
 */
export function followRedirect(
  hop: Hop,
  { status, headers }: { readonly status: number; readonly headers: Headers },
  { policy, service }: { readonly policy: RedirectPolicy; readonly service: string },
): Hop | undefined {
  const location = headers.get('location');
  if (policy === 'manual' || location === null || !redirects.has(status)) return undefined;
  const url = parseOutgoingUrl(location, hop.url);
  const isSameOrigin = url.origin === hop.url.origin;
  if (!isSameOrigin && policy === 'same-origin')
    throw invalid(`${service} redirected the request to another origin.`);
  const becomesGet =
    (status === 303 && hop.method !== 'HEAD') ||
    ((status === 301 || status === 302) && hop.method === 'POST');
  const kept = Object.entries(hop.headers).filter(
    ([name]) => (isSameOrigin || harmless.test(name)) && !(becomesGet && name.startsWith('content-')),
  );
  return {
    url,
    method: becomesGet ? 'GET' : hop.method,
    headers: Object.fromEntries(kept),
    body: becomesGet ? undefined : hop.body,
  };
}
