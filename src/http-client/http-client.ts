/**
 * Sends HTTP requests to other services, for features: `fetch` with everything that a server needs around it
 * (docs/outgoing-http.md).
 *
 *     fetch ──> attempt ──> hop: circuit of the origin ──> checked address ──> response
 *                  ▲         ▲                                                   │
 *                  │         └── redirect, to the same origin ───────────────────┤
 *                  └── after a delay, within the retry budget of the origin ─────┤  a network error, 429, 502, 503 or 504
 *                                                                                ▼
 *                                                      one log event, metrics, the response or an AppError
 *
 * - One time limit covers all attempts: at most the remaining time of the current request. The call ends when the request ends.
 * - Only requests that can be repeated are retried: GET, HEAD, OPTIONS, PUT and DELETE (RFC 9110, section 9.2.2), and others
 *   that are declared `idempotent`. The others use a new connection each, because a pooled one may be closing.
 * - The circuit of an origin opens if most of its calls fail, and calls are rejected until a trial succeeds
 *   (`resilience/circuit-breaker.ts`).
 * - Only public addresses are reached (`checked-lookup.ts`). Proxies from the environment are not used.
 */

import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { createAddressSet } from '../http/connection/addresses.ts';
import { type CircuitMetrics, createCircuitSet } from '../observability/circuit-set.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import { currentRequest, runOutsideRequest } from '../observability/request-context.ts';
import type { BreakerPolicy } from '../resilience/circuit-breaker.ts';
import { backoffDelay } from '../resilience/retry.ts';
import { createCallReport, showUrl } from './call-report.ts';
import {
  assertLiteralAllowed,
  createAddressCheck,
  createCheckedLookup,
  createSystemResolver,
  type Resolve,
} from './checked-lookup.ts';
import { acceptedEncodings, exchange, invalid, type Received } from './exchange.ts';
import { type CalledOrigin, createOrigins } from './origins.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { traceOutgoing } from './outgoing-trace.ts';
import { followRedirect, type Hop, parseOutgoingUrl } from './redirect.ts';

export interface HttpClient {
  /**
   * Resolves with the response, whatever its status; its body has been read. Rejects with an AppError: `outgoing_unavailable`
   * (not reached, or the circuit is open), `outgoing_timeout`, `outgoing_response_invalid` (malformed, too large, or a
   * forbidden redirect), `outgoing_refused` (an URL or address that is not called), or with the reason why the current
   * request or `signal` was aborted.
   */
  fetch(url: string | URL, request: OutgoingRequest): Promise<Response>;
  /** Returns the names of the services with an open circuit. */
  openCircuits(): readonly string[];
  /** Closes all connections. Later calls are rejected. Idempotent. */
  close(): void;
}

export interface HttpClientOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly circuitMetrics: CircuitMetrics;
  /** The private addresses and blocks that may be reached. */
  readonly allowedAddresses: readonly string[];
  readonly userAgent: string;
  readonly breakerPolicy?: BreakerPolicy;
  readonly resolve?: Resolve;
  /** Returns a number from 0 to below 1. */
  readonly random?: () => number;
}

const defaultTimeoutMs = 10_000;
const defaultMaxBytes = 1_048_576;
const defaultRetries = 2;
const maxRedirects = 5;
const retryBackoff = { baseMs: 100, maxMs: 2_000 };

const defaultPolicy: BreakerPolicy = {
  windowMs: 10_000,
  minCalls: 10,
  minFailures: 5,
  failureRate: 0.5,
  slowCallMs: 5_000,
  openMs: 1_000,
  maxOpenMs: 60_000,
};

const idempotentMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
/** Statuses of a service or gateway that may succeed a moment later. */
const retriedStatuses = new Set([429, 502, 503, 504]);

/** One call of `fetch`, which may send its request several times: what stays the same in all of these attempts. */
interface Call {
  readonly request: OutgoingRequest;
  readonly signal: AbortSignal;
  readonly isRepeatable: boolean;
  /** When the time of the call is up, in milliseconds of `performance.now()`. */
  readonly endsAt: number;
  /** How many requests were sent, counting retries and redirects. */
  sent: number;
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { log, metrics, userAgent, random = Math.random } = options;
  const now = () => performance.now();
  const mayReach = createAddressCheck(createAddressSet(options.allowedAddresses));
  const lookup = createCheckedLookup(mayReach, options.resolve ?? createSystemResolver());
  const policy = options.breakerPolicy ?? defaultPolicy;
  const circuits = createCircuitSet({
    kind: 'outgoing',
    ...{ policy, log, metrics: options.circuitMetrics, now },
  });
  const origins = createOrigins(circuits);
  const report = createCallReport(log, metrics);
  const pooled = { keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 15_000 };
  const agents = { http: new HttpAgent(pooled), https: new HttpsAgent(pooled) };
  const single = { keepAlive: false, maxSockets: 64 };
  const singleAgents = { http: new HttpAgent(single), https: new HttpsAgent(single) };
  const closing = new AbortController();

  async function fetch(target: string | URL, request: OutgoingRequest): Promise<Response> {
    const startedAt = now();
    const method = request.method ?? 'GET';
    const facts = { request, method, url: undefined as URL | undefined, attempts: 0 };
    const time = openTimeLimit(request, startedAt);
    try {
      const url = parseOutgoingUrl(target);
      facts.url = url;
      const call: Call = {
        ...{ request, signal: time.signal, endsAt: time.endsAt, sent: 0 },
        isRepeatable: idempotentMethods.has(method) || request.idempotent === true,
      };
      const received = await attempt(call, firstHop(url, method, request), () => {
        facts.attempts += 1;
        if (facts.attempts > 1) report.countRetry(request.service);
      });
      const response = toResponse(received, request.service);
      report.completed({ ...facts, seconds: (now() - startedAt) / 1000 }, received);
      return response;
    } catch (error) {
      report.failed({ ...facts, seconds: (now() - startedAt) / 1000 }, error);
      throw error;
    } finally {
      time.close();
    }
  }

  /** Sends the request until an attempt succeeds, or no further one is allowed. Calls `onAttempt` before each. */
  async function attempt(call: Call, hop: Hop, onAttempt: () => void): Promise<Received> {
    const origin = origins.of(hop.url.origin, call.request.service);
    origin.budget.addCall();
    for (let count = 1; ; count += 1) {
      onAttempt();
      let received: Received | undefined;
      let failure: unknown;
      try {
        received = await followHops(call, hop);
        if (!retriedStatuses.has(received.status)) return received;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'outgoing_unavailable') throw error;
        failure = error;
      }
      const waitMs = Math.max(backoffDelay(count, retryBackoff, random), retryAfterMs(received));
      if (!mayRetry(call, origin, count, waitMs)) {
        if (received !== undefined) return received;
        throw failure;
      }
      await pause(waitMs, call.signal);
    }
  }

  function mayRetry(call: Call, origin: CalledOrigin, count: number, waitMs: number): boolean {
    const { isRepeatable, request, endsAt, signal } = call;
    if (!isRepeatable || count > (request.retries ?? defaultRetries) || signal.aborted) return false;
    if (now() + waitMs >= endsAt || origin.breaker.state(now()) === 'open') return false;
    return origin.budget.takeRetry();
  }

  async function followHops(call: Call, first: Hop): Promise<Received> {
    const { service, redirect: redirectPolicy = 'same-origin' } = call.request;
    let hop = first;
    for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
      const received = await guarded(call, hop);
      const next = followRedirect(hop, received, { policy: redirectPolicy, service });
      if (next === undefined) return received;
      hop = next;
    }
    throw invalid(`${service} redirected the request more than ${maxRedirects} times.`);
  }

  /** Sends one request through the circuit of its origin. */
  async function guarded(call: Call, hop: Hop): Promise<Received> {
    const { request, signal, isRepeatable } = call;
    const { service, maxResponseBytes: maxBytes = defaultMaxBytes } = request;
    assertLiteralAllowed(hop.url, mayReach);
    const { breaker } = origins.of(hop.url.origin, service);
    const startedAt = now();
    const permit = breaker.admit(startedAt);
    if (permit === undefined) {
      circuits.countRejection();
      throw circuitOpen(service, breaker.retryAfterMs(startedAt));
    }
    const used = isRepeatable ? agents : singleAgents;
    const { sent } = call;
    call.sent += 1;
    try {
      // A pooled connection lives longer than the request that opened it, so it must not keep the context of that request.
      const received = await traceOutgoing(
        () => ({
          ...{ service, method: hop.method, resendCount: sent },
          url: showUrl(hop.url, request.hidePath === true),
        }),
        (traceHeaders) =>
          runOutsideRequest(() =>
            exchange({
              ...hop,
              headers: { ...traceHeaders, ...hop.headers },
              ...{ service, maxBytes, signal, lookup, agents: used },
            }),
          ),
      );
      breaker.report(permit, received.status >= 500, now() - startedAt, now());
      return received;
    } catch (error) {
      const code = error instanceof AppError ? error.code : undefined;
      const durationMs = now() - startedAt;
      if (code === 'outgoing_unavailable' || code === 'outgoing_timeout' || durationMs >= policy.slowCallMs)
        breaker.report(permit, true, durationMs, now());
      else if (code === 'outgoing_response_invalid') breaker.report(permit, false, durationMs, now());
      else breaker.release(permit, now());
      throw error;
    }
  }

  /** Creates the signal that ends a call: its own time, the current request, the given signal, or the end of the client. */
  function openTimeLimit(
    { service, timeoutMs = defaultTimeoutMs, signal: given }: OutgoingRequest,
    startedAt: number,
  ) {
    const context = currentRequest();
    const controller = new AbortController();
    const deadlineAt = context?.signal.deadlineAt || Number.POSITIVE_INFINITY;
    const isCutShort = deadlineAt < startedAt + timeoutMs;
    const endsAt = Math.min(deadlineAt, startedAt + timeoutMs);
    const timer = setTimeout(
      () => controller.abort(isCutShort ? requestDeadline() : timedOut(service, timeoutMs)),
      Math.max(0, endsAt - startedAt),
    );
    const sources = [context?.signal, given, closing.signal].flatMap((source) => {
      if (source === undefined) return [];
      const stop = () => controller.abort(source.reason);
      if (source.aborted) stop();
      else source.addEventListener('abort', stop, { once: true });
      return [() => source.removeEventListener('abort', stop)];
    });
    return {
      signal: controller.signal,
      endsAt,
      close() {
        clearTimeout(timer);
        for (const remove of sources) remove();
      },
    };
  }

  function firstHop(url: URL, method: string, { headers, body, json }: OutgoingRequest): Hop {
    const context = currentRequest();
    return {
      ...{ url, method, body: json === undefined ? body : JSON.stringify(json) },
      headers: {
        accept: '*/*',
        'user-agent': userAgent,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(context !== undefined && { 'x-request-id': context.id }),
        ...lowerCased(headers ?? {}),
        'accept-encoding': acceptedEncodings,
      },
    };
  }

  return {
    fetch,
    openCircuits: circuits.openNames,
    close() {
      closing.abort(new AppError('shutting_down', 'The server is stopping.'));
      for (const each of [agents, singleAgents]) {
        each.http.destroy();
        each.https.destroy();
      }
    },
  };
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Returns the wait that a response asks for, in milliseconds: `Retry-After` as seconds or as a date; 0 without one. */
function retryAfterMs(received: Received | undefined): number {
  const value = received?.headers.get('retry-after');
  if (value === null || value === undefined) return 0;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}

/** Rejects with the reason of the signal if it is aborted during the wait. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {
    throw signal.reason;
  });
}

/** Statuses without a body, which the constructor of a Response enforces. */
const bodyless = new Set([204, 205, 304]);

function toResponse({ status, headers, body }: Received, service: string): Response {
  if (status < 200 || status > 599) throw invalid(`${service} answered with the status ${status}.`);
  return new Response(bodyless.has(status) ? null : body, { status, headers });
}

function circuitOpen(service: string, retryMs: number): AppError {
  return new AppError(
    'outgoing_unavailable',
    `${service} has failed repeatedly and is not called at the moment: try again later.`,
    { headers: { 'retry-after': String(Math.max(1, Math.ceil(retryMs / 1000))) } },
  );
}

function timedOut(service: string, timeoutMs: number): AppError {
  return new AppError('outgoing_timeout', `${service} did not answer within ${timeoutMs / 1000} seconds.`);
}

function requestDeadline(): AppError {
  return new AppError('deadline_exceeded', 'The answer was not ready in time.', {
    headers: { 'retry-after': '1' },
  });
}
