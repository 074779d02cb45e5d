/**
 * Validates messages that arrive from a thread. The code of a task shares the thread's port and can send anything, so
 * the runner must not fail because of a message, nor store more than the limits allow.
 */

import * as z from 'zod';
import { jobErrorCodes } from '../job.ts';
import { maxResultBytes } from './outcome.ts';
import type { FromThread } from './thread-messages.ts';
import { maxMessage, maxStack } from './thrown.ts';

const id = z.int();

const error = z.object({
  code: z.enum(jobErrorCodes),
  message: z.string().max(maxMessage + 200),
  details: z.unknown().optional(),
  stack: z.string().max(maxStack).optional(),
});

const outcome = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('returned'), result: z.string().max(maxResultBytes).nullable() }),
  z.object({ kind: z.literal('committed') }),
  z.object({ kind: z.literal('failed'), error, final: z.boolean() }),
  z.object({
    kind: z.literal('snoozed'),
    delayMs: z.number().min(0).or(z.literal(Number.POSITIVE_INFINITY)),
  }),
  z.object({ kind: z.literal('aborted'), reason: z.enum(['cancelled', 'drain', 'lost']) }),
]);

const progress = z.object({ fraction: z.number().min(0).max(1), message: z.string().max(1_000).nullable() });

const fromThread = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('progress'), id, progress }),
  z.object({ kind: z.literal('ended'), id, outcome }),
  z.object({ kind: z.literal('error'), id: id.nullable(), error }),
  // A name that no list has is not counted: see observability/metrics/event-metrics.ts.
  z.object({
    kind: z.literal('event'),
    event: z
      .string()
      .regex(/^[a-z]+(?:[._][a-z]+)+$/)
      .max(100),
  }),
  z.object({ kind: z.literal('line'), line: z.string() }),
]);

/** Returns whether a message has the form that `runTasks` sends, with every string and number within its limits. */
export function isFromThread(message: unknown): message is FromThread {
  return fromThread.safeParse(message).success;
}
