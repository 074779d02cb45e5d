/**
 * A route says everything about itself in one place: what it takes, what it answers, who may call it and how
 * much of it. The router matches it, the layers read it, the validator and the serialiser run it, the OpenAPI
 * document is made from it, and the types of its handler follow from it.
 */

import type * as z from 'zod';
import type { Role, Scope } from '../auth/principal.ts';
import type { ErrorCode } from '../errors.ts';
import type { Upload } from './body/multipart.ts';
import type { Context } from './context.ts';
import type { Reply } from './reply.ts';
import type { ReplyRecording } from './reply-recorder.ts';

export const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type Method = (typeof methods)[number];

/**
 * Who may call a route.
 *
 * - `none`: everybody. Credentials that are shown are checked all the same, so that a handler knows who asks.
 * - `own`: everybody, and no layer looks at `Authorization`: the route takes a credential of its own, in its body or in
 *   a cookie (a login, a refresh), and an access token that has ended must not stand in its way.
 * - `user`: somebody who has signed in, with an access token.
 * - `apiKey`: a program with an API key.
 * - `any`: either of the two.
 */
export type Auth = 'none' | 'own' | 'user' | 'apiKey' | 'any';

/**
 * What a request of a route that is open to everybody makes the server do beyond some reads by key: an open route with costs
 * declares limits, and the application does not start if it does not.
 *
 * - `password-hash`: tenths of a second of a core, and 128 MiB.
 * - `mail`: a mail to somebody who may not have asked for it.
 * - `write`: a row that is written or deleted.
 * - `large-response`: an answer of over 50 kB, or one that other processes are asked for.
 */
export type RouteCost = 'password-hash' | 'mail' | 'write' | 'large-response';

/** A quota of one route: at most `quota` requests in any `windowMs` milliseconds, of one address or of one user. */
export interface RouteLimit {
  /** Names the quota in the `RateLimit` headers and in the log; routes with the same name share it. */
  readonly name: string;
  /** `user` counts by address for those who have not signed in. */
  readonly by: 'address' | 'user';
  readonly quota: number;
  readonly windowMs: number;
}

/** One status that a route answers with. Without `schema` it has no body, or a raw one of `contentType`. */
export interface ResponseSpec {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly example?: unknown;
}

export type Responses = Readonly<Record<number, ResponseSpec>>;

/** What a handler gets: the validated parts of the request. `ctx` is for what has no schema. */
export interface RouteRequest<Params, Query, Headers, Body, Returned> {
  readonly params: Params;
  readonly query: Query;
  readonly headers: Headers;
  readonly body: Body;
  readonly ctx: Context;
  /** Has the answer kept together with the effect, on a route that is `idempotent`: see reply-recorder.ts. */
  recordReply<Value>(toReply: (value: Value) => Returned): ReplyRecording<Value> | undefined;
}

type ValueOf<Spec> = Spec extends { readonly schema: infer Schema extends z.ZodType }
  ? z.input<Schema>
  : undefined;

/** What a handler may return: a reply of a declared status with its value, or the plain value of the 200. */
export type Returned<R extends Responses> =
  | { [Status in keyof R & number]: Reply<Status, ValueOf<R[Status]>> }[keyof R & number]
  | (R extends { readonly 200: infer Spec } ? ValueOf<Spec> : never);

interface RouteFacts {
  readonly method: Method;
  /** The pattern; its grammar is in router.ts. */
  readonly path: string;
  /** A name for generated clients, in camelCase, unique over all routes. */
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly deprecated?: boolean;
  readonly auth: Auth;
  /** An open route whose handler reads the access token itself, if one is sent; for the document. */
  readonly readsAccessToken?: boolean;
  /** Everything that the credential must be allowed to do, beside `auth`. */
  readonly scopes?: readonly Scope[];
  /** The roles one of which the caller must have, beside `auth`. */
  readonly roles?: readonly Role[];
  /**
   * How old the answer of the database may be on which the caller's authority rests. `fresh`: the caller is checked again
   * right before the handler runs; the default of every method but GET. `cached`: some seconds old is good enough, for the
   * reason given here.
   */
  readonly authority?: 'fresh' | { readonly cached: string };
  /** `exempt` is for probes: no rate limit, any host, plain HTTP. */
  readonly limit?: 'address' | 'exempt';
  /** What anybody can make the server do with it; empty for a route that only reads little. */
  readonly costs?: readonly RouteCost[];
  /** Quotas of its own, beside those of the address and of the user. */
  readonly limits?: readonly RouteLimit[];
  /** Takes `Idempotency-Key`: the request is done once, however often it is sent. Its handler uses `recordReply`. */
  readonly idempotent?: boolean;
  /** The largest body in bytes; by default the setting for its class. */
  readonly maxBody?: number;
  /** The media types of the body; by default `application/json`. */
  readonly accepts?: readonly string[];
  /**
   * The body is a form with a file, which goes to disk and not into memory; `accepts` is `multipart/form-data`, and the
   * field of the file is an `uploadedFile` in the schema of the body. Not together with `idempotent`.
   */
  readonly upload?: Upload;
  /** The `Cache-Control` of its successful answers, instead of `no-store`. */
  readonly cache?: string;
  /** Give successful answers to GET a validator made from their content (RFC 9110, section 8.8.3). */
  readonly etag?: boolean;
  /** The refusals of its own, beside those that its other declarations bring. */
  readonly problems?: readonly ErrorCode[];
  /** Left out of the OpenAPI document. */
  readonly hidden?: boolean;
  /** A body that works when it is tried, for the document. */
  readonly example?: unknown;
}

export interface RouteSpec<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Headers extends z.ZodType,
  Body extends z.ZodType,
  R extends Responses,
> extends RouteFacts {
  readonly params?: Params;
  /** An object schema over the query's parameters; a repeated parameter arrives as an array. */
  readonly query?: Query;
  /** An object schema over lower-case header names. */
  readonly headers?: Headers;
  readonly body?: Body;
  readonly responses: R;
  handler(
    request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Headers>, z.output<Body>, Returned<R>>,
  ): Returned<R> | Promise<Returned<R>>;
}

/** A route whose types are forgotten: what the router, the layers and the document see. */
export interface Route extends RouteFacts {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  readonly responses: Responses;
  handler(request: RouteRequest<unknown, unknown, unknown, unknown, unknown>): unknown;
}

/** Declares a route. Nothing happens but the inference of the handler's types. */
export function route<
  const R extends Responses,
  Params extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUndefined,
  Headers extends z.ZodType = z.ZodUndefined,
  Body extends z.ZodType = z.ZodUndefined,
>(spec: RouteSpec<Params, Query, Headers, Body, R>): Route {
  return spec;
}

/** The same routes below a prefix such as `/api/v1`. */
export function mount(prefix: string, routes: readonly Route[]): Route[] {
  return routes.map((each) => ({
    ...each,
    path: `${prefix}${each.path}`,
    handler: (request) => each.handler(request),
  }));
}
