/**
 * The model of the HTTP side has four nouns:
 *
 *     Context      one request and the response that is being made for it
 *     Middleware   a layer: gets the context and `next`
 *     Next         the rest of the pipeline: the inner layers and the handler (compose.ts links them)
 *     Done         how a layer finishes: undefined if it has finished, a promise if it waits
 *
 * A layer may act before `next`, after it, or end the request: it throws an AppError, or sets a reply (`ctx.reply`,
 * `rejectRequest`) and does not call `next`. send.ts writes the response once, after the whole pipeline has run.
 *
 * Because a layer that does not wait returns undefined, a request that waits for nothing passes all layers without a single
 * promise. `after` (compose.ts) hides the two cases.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../auth/principal.ts';
import type { AppError } from '../errors.ts';
import { AbortSource } from './connection/abort-source.ts';
import { plainAddress } from './connection/addresses.ts';
import type { Payload } from './reply.ts';
import type { ReplyRecorder } from './reply-recorder.ts';
import type { BodyLimits, RouteDeclaration } from './route-declaration.ts';
import type { Match, Params } from './router.ts';
import type { Target } from './target.ts';

export type Done = Promise<void> | undefined;

/** The rest of the pipeline. Call it at most once. */
export type Next = (ctx: Context) => Done;

export type Middleware = (ctx: Context, next: Next) => Done;

/** A layer with its name in problems, logs, `Server-Timing` and settings. */
export interface Layer {
  readonly name: string;
  readonly run: Middleware;
}

/** A route that is ready to run: its serialisers are compiled and its defaults filled in (dispatch.ts). */
export interface PreparedRoute {
  readonly route: RouteDeclaration;
  readonly bodyLimits: BodyLimits;
  /** The media types that the body may have; empty for a route without a body. */
  readonly accepts: readonly string[];
  /** Ends the pipeline: validates the request, calls the handler and serialises its reply. */
  readonly handle: (ctx: Context, pathParams: Params) => Done;
}

/**
 * Whether the request has a body, which means at least one octet (RFC 9110, section 6.4; RFC 9112, section 6.3). `unknown`
 * is a chunked body of which nothing has been read yet: it is empty if its first chunk is the last one.
 */
export type BodyState = 'absent' | 'present' | 'unknown';

/** Response headers with lower-case names. */
export type ResponseHeaders = Record<string, string | string[]>;

/** How long a layer took together with everything inside it, in milliseconds. */
export interface LayerTime {
  readonly name: string;
  readonly depth: number;
  readonly duration: number;
}

export class Context {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly target: Target;
  readonly match: Match<PreparedRoute>;
  /** When the headers of the request had arrived, in milliseconds of `performance.now()`. */
  readonly startedAt: number;

  /** The request id; empty until the layer `request-id` has run. */
  id = '';
  /** The ids of the trace and of the span of this request, for the log; undefined until the layer `request-id` has run. */
  trace: { readonly traceId: string; readonly spanId: string } | undefined = undefined;
  /** The address at the other end of the connection: the client, or a proxy. Never an IPv4-mapped IPv6 address. */
  readonly peer: string;
  /** The address of the client: the peer of the socket, or what `proxy-headers` found. Never an IPv4-mapped IPv6 address. */
  clientAddress: string;
  /**
   * The country of the client address: a code of ISO 3166-1 alpha-2, `private` or `unknown`; undefined if countries are not
   * looked up.
   */
  country: string | undefined = undefined;
  /** The scheme that the client used. */
  scheme: 'http' | 'https' = 'http';
  /** The host that the request names, in lower case, with its port if it has one; empty if it names none. */
  host: string;
  bodyState: BodyState;
  /** The request body, once it has been read. */
  rawBody: Buffer | undefined = undefined;
  /**
   * An error of the message as a whole (connection/message-error.ts). It is found on arrival but thrown inside the pipeline,
   * so that it is logged, counted and answered like every other error.
   */
  messageError: AppError | undefined = undefined;
  /** The caller, once its credentials have been checked; undefined if the request has none. */
  principal: Principal | undefined = undefined;
  /**
   * Checks the credentials again, for a response that lasts long. Rejects or throws if they are no longer valid. Undefined
   * for a request without credentials.
   */
  identify: (() => Principal | Promise<Principal>) | undefined = undefined;
  /**
   * Checks the credentials against the database, bypassing every cache. Rejects with an AppError if they are no longer
   * valid. Undefined for a request without credentials.
   */
  identifyNow: (() => Promise<Principal>) | undefined = undefined;
  /** Stores the reply for repetitions of the request; undefined unless the client has asked for it. */
  recorder: ReplyRecorder | undefined = undefined;
  /** Whether the client waits for `100 Continue` before it sends its body, and has not been sent it yet. */
  expectsContinue = false;

  /** Aborts the work for this request. `signal` is the same as a real AbortSignal. */
  readonly abortSource = new AbortSource();

  status = 404;
  readonly headers: ResponseHeaders = {};
  payload: Payload = undefined;
  /** Whether the log has the lines of this request; false for one of many rejections that are summed up. */
  isLogged = true;
  /** The error that the response reports, if any. */
  error: unknown = undefined;
  /** In the order in which the layers finished; only if the pipeline was composed with `timed`. */
  readonly times: LayerTime[] = [];

  #controller: AbortController | undefined = undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    match: Match<PreparedRoute>,
    startedAt: number,
  ) {
    this.request = request;
    this.response = response;
    this.method = request.method ?? 'GET';
    this.target = target;
    this.match = match;
    this.startedAt = startedAt;
    this.bodyState = bodyStateOf(request);
    this.peer = plainAddress(request.socket.remoteAddress ?? '');
    this.clientAddress = this.peer;
    this.host = (target.authority ?? request.headers.host ?? '').toLowerCase();
  }

  /** Aborted if the client disconnects or the deadline passes; the reason is an AppError. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      const abort = () => controller.abort(this.abortSource.reason);
      if (this.abortSource.aborted) abort();
      else this.abortSource.addEventListener('abort', abort);
    }
    return this.#controller.signal;
  }

  /** Whether the request was aborted: an error response was sent, or the client has disconnected. */
  get aborted(): boolean {
    return this.abortSource.aborted;
  }

  /** Aborts the work for this request: everything that listens to `abortSource` or `signal` stops. */
  abort(reason: Error): void {
    this.abortSource.abort(reason);
  }

  /** Sets the response. If `contentType` is undefined, the content type of an earlier reply is kept. */
  reply(status: number, payload: Payload, contentType?: string): void {
    this.status = status;
    this.payload = payload;
    if (contentType !== undefined) this.headers['content-type'] = contentType;
  }

  /**
   * Whether the request is a probe (`limit: 'exempt'`). Platforms send probes from inside the network, by IP address, over
   * plain HTTP and as often as they like, so the rate limit, the allowed hosts and the HTTPS policy do not apply.
   */
  get isProbe(): boolean {
    return this.match.kind === 'found' && this.match.value.route.limit === 'exempt';
  }

  /** Adds a field name to `Vary` (RFC 9110, section 12.5.5), unless it is there already. */
  vary(name: string): void {
    const present = this.headers.vary;
    if (present === undefined) this.headers.vary = name;
    else if (typeof present === 'string' && !present.toLowerCase().split(', ').includes(name.toLowerCase())) {
      this.headers.vary = `${present}, ${name}`;
    }
  }
}

function bodyStateOf({ headers }: IncomingMessage): BodyState {
  if (headers['transfer-encoding'] !== undefined) return 'unknown';
  const length = headers['content-length'];
  // The parser guarantees digits, but 0 may be written 00.
  return length === undefined || Number(length) === 0 ? 'absent' : 'present';
}
