/**
 * The messages between a supervisor (the primary or a single process) and its children (HTTP workers, the jobs process).
 * They are plain data and hold no content of a request. Their kinds must stay readable to other versions: after a reload
 * the supervisor still has the code of its start.
 */

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

/** All metrics of a process. */
const snapshot = z.custom<MetricsSnapshot>((value) => metricFamilies.safeParse(value).success);

/** The names of cached values: of values alone, and of all values with a tag. */
const valueName = z.string().max(500);
const valueNames = z.array(valueName).max(1_000);

/** A cached value that another worker has loaded. `maxSentLength` of `cache/shared-load.ts` is shorter. */
const loadedValue = z.object({
  text: z.string().max(1_048_576),
  freshUntil: z.number(),
  staleUntil: z.number(),
});

/** The key of a client, such as its address. */
const clientName = z.string().max(200);

/** From the supervisor to a child. */
const toChild = z.discriminatedUnion('kind', [
  /**
   * The answer to `hello`: start. The database is available and, except in `npm run dev`, migrated. `isRestart`: the child
   * replaces another after a change of the code, and need not show its addresses again. `sharesLoads`: the supervisor
   * answers `load`.
   */
  z.object({
    kind: z.literal('begin'),
    databaseUrl: z.string().nullable(),
    isRestart: z.boolean().optional(),
    sharesLoads: z.boolean().optional(),
  }),
  /** Drain and exit. `takenOver`: other processes accept new connections, so the child may wait for requests on its idle ones. */
  z.object({ kind: z.literal('stop'), takenOver: z.boolean() }),
  /** A secret was removed. When others take over, do not wait for requests on idle connections. */
  z.object({ kind: z.literal('hasten') }),
  /** Send your metrics. */
  z.object({ kind: z.literal('scrape'), id: z.number() }),
  /** The answer to `collect`: the metrics of all processes. */
  z.object({ kind: z.literal('collected'), id: z.number(), snapshot }),
  /** The answer to `take`: the decision on a permit. */
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
  /** Return this lease of permits now. */
  z.object({ kind: z.literal('recall'), lease: z.number() }),
  /** Another worker has invalidated these cached values. */
  z.object({ kind: z.literal('invalidated'), keys: valueNames, tags: valueNames }),
  /** Refuse these clients until then, by the clock of the host. */
  z.object({
    kind: z.literal('banned'),
    bans: z.array(z.object({ client: clientName, until: z.number() })).max(1_000),
  }),
  /** These clients are no longer banned. */
  z.object({ kind: z.literal('unbanned'), clients: z.array(clientName).max(1_000) }),
  /** The state of a question `load`. */
  z.object({
    kind: z.literal('load-state'),
    id: z.number(),
    state: z.enum(['granted', 'waiting', 'awaited']),
  }),
  /** Answers a question `load` with the value that another worker has loaded. */
  z.object({ kind: z.literal('load-value'), id: z.number(), value: loadedValue }),
]);

const limitName = z.string().min(1).max(64);

/** From a child to its supervisor. */
const toSupervisor = z.discriminatedUnion('kind', [
  /** The child listens to messages now. Messages sent before were lost. */
  z.object({ kind: z.literal('hello') }),
  z.object({ kind: z.literal('ready'), url: z.string() }),
  /** The heartbeat, sent every second. A blocked event loop sends none. */
  z.object({
    kind: z.literal('beat'),
    requests: z.number(),
    inFlight: z.number(),
    rssBytes: z.number(),
    heapBytes: z.number(),
    eventLoopLagMs: z.number(),
    utilisation: z.number(),
  }),
  /** The answer to `scrape`, with its id; or unasked, with id 0. */
  z.object({ kind: z.literal('metrics'), id: z.number(), snapshot }),
  /** Requests the metrics of all processes. */
  z.object({ kind: z.literal('collect'), id: z.number() }),
  /** The child cannot start; the message is a sentence for the operator. */
  z.object({ kind: z.literal('failed'), message: z.string() }),
  /** Defines the limit of this name for the `take` messages that follow. */
  z.object({
    kind: z.literal('limit'),
    name: limitName,
    policies: z
      .array(z.object({ name: limitName, quota: z.int().positive(), windowMs: z.int().positive() }))
      .min(1)
      .max(10),
  }),
  /** Requests one more permit of the limit for this client. */
  z.object({ kind: z.literal('take'), id: z.int(), limit: limitName, key: clientName }),
  /** Returns a lease, with the number of permits that were spent. */
  z.object({ kind: z.literal('return'), lease: z.int(), spent: z.int().nonnegative(), lastAt: z.number() }),
  /** The offences of clients, for the ban list. */
  z.object({
    kind: z.literal('offences'),
    offenders: z
      .array(
        z.object({
          client: clientName,
          violations: z.int().nonnegative(),
          failures: z.array(z.int()).max(100),
        }),
      )
      .max(1_000),
  }),
  /** Invalidates cached values of the other workers. */
  z.object({ kind: z.literal('invalidate'), keys: valueNames, tags: valueNames }),
  /** Requests the load of a cached value, or the value if another worker loads it and `acceptsValue` is true. */
  z.object({
    kind: z.literal('load'),
    id: z.int(),
    key: valueName,
    tags: valueNames,
    acceptsValue: z.boolean(),
  }),
  /** The end of a question `load`, with the value if another worker awaits it. */
  z.object({ kind: z.literal('load-end'), id: z.int(), value: loadedValue.nullable() }),
  /** Revokes loads of cached values that a process outside of this node has invalidated. */
  z.object({ kind: z.literal('load-revoke'), keys: valueNames, tags: valueNames }),
]);

export type ToChild = z.output<typeof toChild>;
export type ToSupervisor = z.output<typeof toSupervisor>;

/** Parses a message to a child. Returns undefined for any other message on the channel. */
export function parseToChild(message: unknown): ToChild | undefined {
  return toChild.safeParse(message).data;
}

/** Parses a message to a supervisor. Returns undefined for any other message on the channel. */
export function parseToSupervisor(message: unknown): ToSupervisor | undefined {
  return toSupervisor.safeParse(message).data;
}
