import { isIP } from 'node:net';
import * as z from 'zod';
import { text, timestamp } from '../../http/body/fields.ts';
import { clientKey } from '../../http/connection/addresses.ts';
import { idParameter, integerParameter } from '../../http/parameters/parameters.ts';

/** The queries and answers of the routes of bans. */

/** An address, which becomes the client that has it. No path can have an encoded slash, so a network is its first address. */
const client = z
  .string()
  .max(100)
  .refine((address) => isIP(address) !== 0 && !address.includes('%'), 'Use an IPv4 or IPv6 address.')
  .transform(clientKey);

export const clientParams = z.object({ client });

export const banQuery = z.object({
  limit: integerParameter(1, 500).default(100),
  before: idParameter.optional(),
});

/** A ban by hand, for at most a year. */
export const newBan = z.strictObject({
  seconds: z.int().min(1).max(31_536_000),
  reason: text({ min: 1, max: 200 }),
});

export const ban = z.object({
  id: z.int(),
  /** An IPv4 address, or the /64 network of an IPv6 address. */
  client: z.string(),
  cause: z.enum(['rate_limit', 'authentication', 'manual']),
  /** The reason of a ban by hand; null for any other. */
  reason: z.string().nullable(),
  /** The number of bans of this client that still make the next one longer. */
  count: z.int(),
  started_at: timestamp,
  ends_at: timestamp,
  remaining_seconds: z.int(),
});

export const banPage = z.object({
  bans: z.array(ban),
  total: z.int(),
  /** The value of `before` for the next page; null on the last one. */
  before: z.int().nullable(),
});
