/**
 * The program of the proofs: the product with one route more. It stands beside `server-program.ts` in a copy of the sources
 * (program-copy.ts). What a deployment changes is the file `generation.js` beside the built program, which each process
 * reads when it starts.
 */

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { route } from './http/route.ts';
import { runProgram } from './program.ts';

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
      description: 'Who answered, with which code, and how much had arrived.',
      schema: z.object({ pid: z.number(), generation: z.number(), length: z.number() }),
    },
  },
  handler: async ({ body }) => {
    await delay(body.waitMs);
    return { pid: process.pid, generation, length: body.payload.length };
  },
});

runProgram({ extraRoutes: [work] });
