/**
 * The program of the proofs: the product with one route more. It stands beside `program.js` in a copy of the built
 * program (program-copy.ts), where `generation.js` is what a deployment changes.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { generation } from './generation.js';
import { route } from './http/route.js';
import { runProgram } from './program.js';

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
