/** What the primary and its workers say to each other. Everything is plain data; nothing of a request's content. */

import { z } from 'zod';

/** From the primary to a worker. */
const toWorker = z.discriminatedUnion('kind', [
  /** The answer to `hello`: open your server. The database is there, and migrated. */
  z.object({ kind: z.literal('begin'), databaseUrl: z.string().nullable() }),
  /** Drain and end. */
  z.object({ kind: z.literal('stop') }),
  /** The decision on a permit that the worker asked for. */
  z.object({
    kind: z.literal('decision'),
    id: z.number(),
    allowed: z.boolean(),
    policy: z.number(),
    remaining: z.number(),
    resetMs: z.number(),
  }),
]);

const limitName = z.string().min(1).max(64);

/** From a worker to the primary. */
const toPrimary = z.discriminatedUnion('kind', [
  /** The worker listens to messages now: what was sent before is lost. */
  z.object({ kind: z.literal('hello') }),
  z.object({ kind: z.literal('ready'), url: z.string() }),
  /** The worker cannot start; the sentence is for the operator. */
  z.object({ kind: z.literal('failed'), message: z.string() }),
  /** What the worker means by the limit of this name in the questions that follow. */
  z.object({
    kind: z.literal('limit'),
    name: limitName,
    policies: z
      .array(z.object({ name: limitName, quota: z.int().positive(), windowMs: z.int().positive() }))
      .min(1)
      .max(10),
  }),
  /** May this client have one more permit of the limit? */
  z.object({ kind: z.literal('take'), id: z.int(), limit: limitName, key: z.string().max(200) }),
]);

export type ToWorker = z.output<typeof toWorker>;
export type ToPrimary = z.output<typeof toPrimary>;

/** Reads a message for a worker; undefined for anything else that comes over the channel. */
export function readToWorker(message: unknown): ToWorker | undefined {
  return toWorker.safeParse(message).data;
}

/** Reads a message for the primary; undefined for anything else that comes over the channel. */
export function readToPrimary(message: unknown): ToPrimary | undefined {
  return toPrimary.safeParse(message).data;
}
