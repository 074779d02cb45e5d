/**
 * The way of a request: four nouns are the whole model.
 *
 * A `Context` is one request and the answer that is being made for it. A `Middleware` is a layer: it gets the
 * context and `next`, the rest of the pipeline. It may act before `next`, after it, or end the request by
 * throwing an AppError or by setting a reply and not calling `next`. `compose` (compose.ts) makes one function
 * of many layers. `send` (send.ts) writes the finished answer, once, after the whole pipeline has run.
 *
 * A layer that finishes at once returns undefined; only one that waits returns a promise. A request that waits
 * for nothing goes through all layers without a single promise.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Principal } from '../auth/principal.ts';
import type { AppError } from '../errors.ts';
import { AbortSource } from './abort-source.ts';
import type { PreparedRoute } from './dispatch.ts';
import type { ReplyRecorder } from './reply-recorder.ts';
import type { Match } from './router.ts';
import type { Target } from './target.ts';

/** The end of a layer: undefined when it is done, a promise when it will be. */
export type Done = Promise<void> | undefined;

/** The rest of the pipeline. It must be called at most once. */
export type Next = (ctx: Context) => Done;

export type Middleware = (ctx: Context, next: Next) => Done;

/** A layer of the pipeline under the name that problems, logs, `Server-Timing` and settings call it by. */
export interface Layer {
  readonly name: string;
  readonly run: Middleware;
}

/** What is sent: text and bytes with their length, a stream chunk by chunk, or nothing. */
export type Payload = string | Uint8Array | Readable | undefined;

/**
 * Whether the request has a body, which means at least one octet (RFC 9110, section 6.4; RFC 9112, section 6.3). `unknown`
 * is a chunked body of which nothing has been read: its first chunk can be the last one, which is empty.
 */
export type BodyState = 'absent' | 'present' | 'unknown';

/** Response headers with lower-case names. */
export type ResponseHeaders = Record<string, string | string[]>;

/** How long each layer took, itself and all it calls, in milliseconds; in the order in which they finished. */
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
  /** When the request's headers had arrived, in milliseconds of `performance.now()`. */
  readonly startedAt: number;

  /** The request's id: empty until its layer has run. */
  id = '';
  /** The address of the client: of the socket, until the proxy layer knows better. Never an IPv4-mapped IPv6. */
  clientAddress: string;
  /** The scheme the client used. */
  scheme: 'http' | 'https' = 'http';
  /** The host the client named, with its port if any, in lower case; empty when it named none. */
  host: string;
  bodyState: BodyState;
  /** The bytes of the request's body, once they are read. */
  rawBody: Buffer | undefined = undefined;
  /**
   * What is wrong with the message as a whole: found when it arrived, thrown inside the pipeline, so that it is
   * logged and answered like every other refusal.
   */
  messageError: AppError | undefined = undefined;
  /** Who asks, once the credentials of the request are checked; undefined for somebody who showed none. */
  principal: Principal | undefined = undefined;
  /**
   * Asks again who that is, for an answer that goes on for long. Rejects, or throws, when the credentials are good no
   * more. Undefined for somebody who showed none.
   */
  identify: (() => Principal | Promise<Principal>) | undefined = undefined;
  /**
   * Asks the database who that is now, whatever was known a moment ago. Rejects with an AppError when the credentials are
   * no longer valid. Undefined for a request without credentials.
   */
  identifyNow: (() => Promise<Principal>) | undefined = undefined;
  /** What keeps the answer for a repetition of the request; undefined unless the client has asked for it. */
  recorder: ReplyRecorder | undefined = undefined;
  /** Whether the client waits for `100 Continue`, and has not been sent it, before it sends its body. */
  expectsContinue = false;

  /** When the work for this request is to end; `signal` is the same for those who need a real AbortSignal. */
  readonly abortSource = new AbortSource();

  status = 404;
  readonly headers: ResponseHeaders = {};
  payload: Payload = undefined;
  /** The thrown thing that the answer stands for, if any. */
  error: unknown = undefined;
  /** Filled when the pipeline was composed with `timed`. */
  readonly times: LayerTime[] = [];

  #abort: AbortController | undefined = undefined;

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
    this.clientAddress = plainAddress(request.socket.remoteAddress ?? '');
    this.host = (target.authority ?? request.headers.host ?? '').toLowerCase();
  }

  /** Aborted when the client is gone or the deadline has passed; its reason is an AppError. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const controller = new AbortController();
      this.#abort = controller;
      const abort = () => controller.abort(this.abortSource.reason);
      if (this.abortSource.aborted) abort();
      else this.abortSource.addEventListener('abort', abort);
    }
    return this.#abort.signal;
  }

  /** Whether the request was given up: it has been answered, or nobody waits for an answer. */
  get aborted(): boolean {
    return this.abortSource.aborted;
  }

  /** Ends the work for this request: everything that listens to `abortSource` or `signal` stops. */
  abort(reason: Error): void {
    this.abortSource.abort(reason);
  }

  /** Sets the answer. A content type is kept from an earlier reply only if none is given. */
  reply(status: number, payload: Payload, contentType?: string): void {
    this.status = status;
    this.payload = payload;
    if (contentType !== undefined) this.headers['content-type'] = contentType;
  }

  /**
   * Whether the request is for a probe (`limit: 'exempt'`). Platforms send probes from inside, by address and over plain
   * HTTP, as often as they like: the rate limit, the list of hosts and the HTTPS policy leave them out.
   */
  get isProbe(): boolean {
    return this.match.kind === 'found' && this.match.value.route.limit === 'exempt';
  }

  /** Adds field names to `Vary` (RFC 9110, section 12.5.5), each once. */
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
  // The parser has made sure that it is digits: 0 and 00 are the same.
  return length === undefined || Number(length) === 0 ? 'absent' : 'present';
}

/** `::ffff:192.0.2.1`, as a dual-stack socket reports an IPv4 client, becomes `192.0.2.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::') ? (mapped.exec(address)?.[1] ?? address) : address;
}
const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;
