/** The one request that every variant is measured with, and what the servers are told before it. */

import { authorization } from './bearer.ts';
import type { Variant } from './variants.ts';

export const host = '127.0.0.1';
export const origin = 'https://app.example.com';

/** Requests a minute and an hour that a server lets one client send: the most that our settings take. */
export const limit = 1_000_000;

/** Connections of a server to its database: the default of `APP_DATABASE_POOL_SIZE`. */
export const poolSize = 5;

/** Connections of the load generator, each with one request at a time. */
export const connections = 50;

export const measuredId = 42;

export function personPath(id: number | string): string {
  return `/api/v1/people/${id}`;
}

/** What a page in a browser would send: enough to make the CORS and compression layers look. */
const requestHeaders = { accept: 'application/json', 'accept-encoding': 'gzip, br', origin };

/** The headers of the measured request; for the variants that want one, with the access token. */
export function headersFor({ bearer }: Pick<Variant, 'bearer'>): Record<string, string> {
  return bearer ? { ...requestHeaders, authorization: authorization() } : requestHeaders;
}

/** The body that every variant must answer with, byte for byte. */
export function personBody(id: number): string {
  const created_at = '2026-01-31T12:00:00.000Z';
  return JSON.stringify({ id, username: 'ada_lovelace', email: 'ada@example.org', created_at });
}

/** The table that the variants with a database read from. */
export const seed = `
  create table people (
    id integer primary key,
    username text not null,
    email text not null,
    created_at timestamptz not null
  );
  insert into people
    select id, 'ada_lovelace', 'ada@example.org', '2026-01-31T12:00:00Z' from generate_series(1, 1000) as id;
  analyze people;
`;
