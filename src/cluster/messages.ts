/** What the primary and its workers say to each other. Everything is plain data; nothing of a request's content. */

import * as z from 'zod';
import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';

const metricFamilies = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    kind: z.enum(['counter', 'gauge', 'histogram']),
    labels: z.array(z.string()),
    bounds: z.array(z.number()),
    series: z.array(z.object({ values: z.array(z.string()), numbers: z.array(z.number()) })),
  }),
);

/** All that a process has counted. */
const snapshot = z.custom<MetricsSnapshot>((value) => metricFamilies.safeParse(value).success);

/** From the primary to a worker. */
const toWorker = z.discriminatedUnion('kind', [
  /** The answer to `hello`: open your server. The database is there, and migrated. */
  z.object({ kind: z.literal('begin'), databaseUrl: z.string().nullable() }),
  /** Drain and end. When others take over, there is time to wait for what idle connections may still send. */
  z.object({ kind: z.literal('stop'), takenOver: z.boolean() }),
  /** Tell your metrics. */
  z.object({ kind: z.literal('scrape'), id: z.number() }),
  /** The metrics of all processes, for the worker that asked. */
  z.object({ kind: z.literal('collected'), id: z.number(), snapshot }),
  /** The decision on a permit that the worker asked for. */
  z.object({
    kind: z.literal('decision'),
    id: z.number(),
    allowed: z.boolean(),
    policy: z.number(),
    remaining: z.number(),
    resetMs: z.number(),
    decidedAt: z.number(),
    lease: z.object({ id: z.number(), permits: z.number(), expiresAt: z.number() }).nullable(),
  }),
  /** Settle this lease of permits now. */
  z.object({ kind: z.literal('recall'), lease: z.number() }),
]);

const limitName = z.string().min(1).max(64);

/** From a worker to the primary. */
const toPrimary = z.discriminatedUnion('kind', [
  /** The worker listens to messages now: what was sent before is lost. */
  z.object({ kind: z.literal('hello') }),
  z.object({ kind: z.literal('ready'), url: z.string() }),
  /** Every second; a blocked event loop says nothing. */
  z.object({
    kind: z.literal('beat'),
    requests: z.number(),
    inFlight: z.number(),
    rssBytes: z.number(),
    heapBytes: z.number(),
    eventLoopLagMs: z.number(),
    utilisation: z.number(),
  }),
  /** The answer to `scrape`, with its id; or unasked, with 0. */
  z.object({ kind: z.literal('metrics'), id: z.number(), snapshot }),
  /** The metrics of all processes are wanted. */
  z.object({ kind: z.literal('collect'), id: z.number() }),
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
  /** What was spent of a lease, which is over. */
  z.object({ kind: z.literal('settle'), lease: z.int(), spent: z.int().nonnegative(), lastAt: z.number() }),
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
