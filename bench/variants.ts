/** The list of what is measured. A variant is one folder below `variants/` with a `server.mjs`, and one entry here. */

import { join } from 'node:path';

export interface Variant {
  /** The name of its folder, and what `--only` takes. */
  readonly name: string;
  readonly title: string;
  /** Whether it claims the whole set of layers: then `verify` holds it to them. */
  readonly layers: boolean;
  /** Whether it reads from PostgreSQL. */
  readonly database: boolean;
  /** Processes among which its requests are divided; one if absent. */
  readonly workers?: number;
  /** Whether its requests carry an access token, and are refused without one. */
  readonly bearer?: boolean;
  /** The variant that does the same work on a framework, which it is compared with. */
  readonly peer?: string;
}

/** What the others are measured against. */
export const floor = 'bare';

export const variants: readonly Variant[] = [
  { name: 'bare', title: 'node:http, bare', layers: false, database: false },
  {
    name: 'strata-routing',
    title: 'Strata, routing only (boundary, router, handler)',
    layers: false,
    database: false,
    peer: 'fastify-routing',
  },
  { name: 'fastify-routing', title: 'Fastify, routing only', layers: false, database: false },
  { name: 'strata', title: 'Strata, whole', layers: true, database: false, peer: 'fastify' },
  { name: 'fastify', title: 'Fastify, same layers', layers: true, database: false },
  {
    name: 'strata-cluster',
    title: 'Strata, whole, two workers and their primary',
    layers: true,
    database: false,
    workers: 2,
  },
  {
    name: 'strata-bearer',
    title: 'Strata, whole, with an access token on the request',
    layers: true,
    // The session that the token names is looked up there, once in the time that it is believed.
    database: true,
    bearer: true,
  },
  {
    name: 'strata-database',
    title: 'Strata, whole, one row from PostgreSQL',
    layers: true,
    database: true,
    peer: 'fastify-database',
  },
  {
    name: 'fastify-database',
    title: 'Fastify, same layers, one row from PostgreSQL',
    layers: true,
    database: true,
  },
];

/** The command that starts the variant's server. */
export function serverCommand({ name }: Variant): readonly [string, ...string[]] {
  return [process.execPath, join(import.meta.dirname, 'variants', name, 'server.mjs')];
}
