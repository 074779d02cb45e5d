import * as z from 'zod';
import type { Route } from '../../src/http/route.ts';
import type { Method } from '../../src/http/route-declaration.ts';

/** Creates a route with defaults for everything that a test does not set. It responds 200 with the JSON that the handler returns. */
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
