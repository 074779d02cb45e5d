import * as z from 'zod';
import type { Route } from '../../src/http/route.ts';
import type { Method } from '../../src/http/route-declaration.ts';

/** A route with everything filled in that a test does not speak of: it answers 200 with whatever JSON it returns. */
export function testRoute(
  method: Method,
  path: string,
  handler: Route['handler'],
  facts: Partial<Omit<Route, 'method' | 'path' | 'handler'>> = {},
): Route {
  return {
    method,
    path,
    operationId: 'test',
    summary: 'A route of a test',
    tags: [],
    auth: 'none',
    responses: { 200: { description: 'Done', schema: z.unknown() } },
    ...facts,
    handler,
  };
}
