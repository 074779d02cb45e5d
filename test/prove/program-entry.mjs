/**
 * The server program of the proofs: the product with one more route. A copy of the sources holds it beside `main.ts`
 * (program-copy.ts). A deployment changes the file `generation.js` beside the built program, which each process reads
 * when it starts.
 */

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { route } from './http/route.ts';
import { runServerProgram } from './program/server-program.ts';

const { generation } = await import(new URL('./generation.js', import.meta.url).href);

const work = route({
  method: 'POST',
  path: '/proof',
  operationId: 'proveWork',
  summary: 'Take a body and answer after a while',
  tags: [],
  auth: 'none',
  body: z.strictObject({ payload: z.string(), waitMs: z.number() }),
  responses: {
    200: {
      description: 'The process and the version that answered, and the length of the payload.',
      schema: z.object({ pid: z.number(), generation: z.number(), length: z.number() }),
    },
  },
  handler: async ({ body }) => {
    await delay(body.waitMs);
    return { pid: process.pid, generation, length: body.payload.length };
  },
});

runServerProgram({ extraRoutes: [work] });
