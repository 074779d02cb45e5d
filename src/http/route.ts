/**
 * A route declares everything about itself in one place: its input, its responses, who may call it and how often. The router
 * matches it, the layers read it, the validator and the serialiser apply it, the OpenAPI document is generated from it, and
 * the types of its handler follow from it.
 */

import type * as z from 'zod';
import type { Context } from './context.ts';
import type { Reply } from './reply.ts';
import type { ReplyRecording } from './reply-recorder.ts';
import type { Responses, RouteDeclaration, RouteFacts } from './route-declaration.ts';

/** The argument of a handler: the validated parts of the request, and `ctx` for parts without a schema. */
export interface RouteRequest<Params, Query, Headers, Body, Returned> {
  readonly params: Params;
  readonly query: Query;
  readonly headers: Headers;
  readonly body: Body;
  readonly ctx: Context;
  /** Stores the reply together with the effect, on a route that is `idempotent`: see reply-recorder.ts. */
  recordReply<Value>(toReply: (value: Value) => Returned): ReplyRecording<Value> | undefined;
}

type ValueOf<Spec> = Spec extends { readonly schema: infer Schema extends z.ZodType }
  ? z.input<Schema>
  : undefined;

/** The return type of a handler: a reply of a declared status with its value, or the value of the 200 alone. */
export type Returned<R extends Responses> =
  | { [Status in keyof R & number]: Reply<Status, ValueOf<R[Status]>> }[keyof R & number]
  | (R extends { readonly 200: infer Spec } ? ValueOf<Spec> : never);

export interface RouteSpec<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Headers extends z.ZodType,
  Body extends z.ZodType,
  R extends Responses,
> extends RouteFacts {
  readonly params?: Params;
  /** An object schema of the query parameters; a repeated parameter is an array. */
  readonly query?: Query;
  /** An object schema with lower-case header names. */
  readonly headers?: Headers;
  readonly body?: Body;
  readonly responses: R;
  handler(
    request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Headers>, z.output<Body>, Returned<R>>,
  ): Returned<R> | Promise<Returned<R>>;
}

/** A route without its specific types, as the application handles it. */
export interface Route extends RouteDeclaration {
  handler(request: RouteRequest<unknown, unknown, unknown, unknown, unknown>): unknown;
}

/** Declares a route. Returns its argument; the call only infers the types of the handler. */
export function route<
  const R extends Responses,
  Params extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUndefined,
  Headers extends z.ZodType = z.ZodUndefined,
  Body extends z.ZodType = z.ZodUndefined,
>(spec: RouteSpec<Params, Query, Headers, Body, R>): Route {
  return spec;
}

/** Returns the same routes below a prefix such as `/api/v1`. */
export function mount(prefix: string, routes: readonly Route[]): Route[] {
  return routes.map((each) => ({
    ...each,
    path: `${prefix}${each.path}`,
    handler: (request) => each.handler(request),
  }));
}
