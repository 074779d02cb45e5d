/** The workload that all servers and clients of a run share. */

export const host = '127.0.0.1';
export const origin = 'https://app.example.com';

/** Requests a minute and an hour that a server lets one client send: the most that our settings take. */
export const limit = 1_000_000;

/** Connections of a server to its database: the default of `APP_DATABASE_POOL_SIZE`. */
export const poolSize = 5;

/** Connections of the load generators, each with one request at a time. */
export const connections = 50;

/** The table that the scenarios with a database read from. */
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
