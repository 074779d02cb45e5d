/**
 * The declarations of a route, without its handler. The router, the layers, the validator and the OpenAPI document read them.
 * This file does not import context.ts, because the context of a request refers to its route.
 */

import type * as z from 'zod';
import type { Role, Scope } from '../auth/principal.ts';
import type { ErrorCode } from '../errors.ts';
import type { Upload } from './body/uploaded-file.ts';

export const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type Method = (typeof methods)[number];

/**
 * The callers that a route admits.
 *
 * - `none`: every client. If the request has credentials they are still checked, so that the handler knows the caller.
 * - `own`: every client, and no layer reads `Authorization`. The route accepts a credential of its own in its body or in a
 *   cookie (login, refresh), and an expired access token must not make it fail.
 * - `user`: a signed-in user, with an access token.
 * - `apiKey`: a program with an API key.
 * - `any`: a user or a program.
 */
export type RouteAuth = 'none' | 'own' | 'user' | 'apiKey' | 'any';

/**
 * The cost of a request beyond a few reads by key. A route that is open to every client and has a cost must declare limits;
 * otherwise the application does not start.
 *
 * - `password-hash`: tenths of a second of one core, and 128 MiB.
 * - `mail`: a mail, possibly to a person who did not ask for it.
 * - `write`: a row that is inserted or deleted.
 * - `large-response`: a response of more than 50 kB, or one that other processes contribute to.
 */
export type RouteCost = 'password-hash' | 'mail' | 'write' | 'large-response';

/** A quota of one route: at most `quota` requests in any `windowMs` milliseconds from one address or one user. */
export interface RouteLimit {
  /** Names the quota in the `RateLimit` headers and in the log. Routes with the same name share the quota. */
  readonly name: string;
  /** `user` counts by address for callers who have not signed in. */
  readonly by: 'address' | 'user';
  readonly quota: number;
  readonly windowMs: number;
}

/** The clients and proxies that may keep the responses of a route, and for how long (RFC 9111). */
export interface RouteCache {
  /** `public`: every cache, for all clients. `private`: the client of the request. */
  readonly scope: 'public' | 'private';
  /** For how many seconds a response is used without asking again. With 0, the client asks each time, with its entity tag. */
  readonly maxAge: number;
  /** The response at this URL never changes, so that a client does not even ask when the user reloads. */
  readonly immutable?: boolean;
  /** The request headers that the response depends on, in addition to those that the layers add. */
  readonly vary?: readonly string[];
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** How long the body may take to arrive, in milliseconds. */
  readonly timeoutMs: number;
}

/** A status that a route responds with. Without `schema` it has no body, or a raw body of `contentType`. */
export interface ResponseSpec {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly example?: unknown;
}

export type Responses = Readonly<Record<number, ResponseSpec>>;

/** The declarations that are independent of the types of the handler. */
export interface RouteFacts {
  readonly method: Method;
  /** The pattern; its grammar is in router.ts. */
  readonly path: string;
  /** A name for generated clients: camelCase, unique over all routes. */
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly deprecated?: boolean;
  readonly auth: RouteAuth;
  /** For the document: the handler of this open route reads the access token itself, if the request has one. */
  readonly readsAccessToken?: boolean;
  /** All of these scopes are required, in addition to `auth`. */
  readonly scopes?: readonly Scope[];
  /** One of these roles is required, in addition to `auth`. */
  readonly roles?: readonly Role[];
  /**
   * How recent the check of the caller's authority must be. `fresh` checks the caller against the database right before the
   * handler runs; it is the default of every method except GET. `cached` accepts a check that is some seconds old, for the
   * reason given.
   */
  readonly authority?: 'fresh' | { readonly cached: string };
  /** `exempt` is for probes: the route has no rate limit, and accepts any Host and plain HTTP. */
  readonly limit?: 'address' | 'exempt';
  /** The costs of a request; empty for a route that only reads a little. */
  readonly costs?: readonly RouteCost[];
  /** Quotas of this route, in addition to those of the address and of the user. */
  readonly limits?: readonly RouteLimit[];
  /** Accepts `Idempotency-Key`: the work is done once, however often the request is sent. The handler uses `recordReply`. */
  readonly idempotent?: boolean;
  /** The largest body in bytes; the default comes from the settings. */
  readonly maxBody?: number;
  /** The media types of the body. Default `application/json`. */
  readonly accepts?: readonly string[];
  /**
   * The body is a form with a file, which is written to disk and not kept in memory. `accepts` must be
   * `multipart/form-data`, and the body schema must have an `uploadedFile` as the field of the file. Excludes `idempotent`.
   */
  readonly upload?: Upload;
  /** How long caches may keep responses that are no errors. The default is `no-store`. */
  readonly cache?: RouteCache;
  /** Gives successful responses to GET a validator computed from their content (RFC 9110, section 8.8.3). */
  readonly etag?: boolean;
  /** Error codes of this route, in addition to those that follow from its other declarations. */
  readonly problems?: readonly ErrorCode[];
  /** Leaves the route out of the OpenAPI document. */
  readonly hidden?: boolean;
  /** For the document: a body that the route accepts. */
  readonly example?: unknown;
}

export interface RouteDeclaration extends RouteFacts {
  readonly params?: z.ZodType;
  /** An object schema of the query parameters; a repeated parameter is an array. */
  readonly query?: z.ZodType;
  /** An object schema with lower-case header names. */
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  readonly responses: Responses;
}
