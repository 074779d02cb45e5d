/** The table, read through the driver that Strata uses, by the variants that are not Strata. */

import postgres from 'postgres';
import { databaseUrl, poolSize } from './environment.mjs';

/** Undefined for a server that is given no database. */
export const rows = databaseUrl === undefined ? undefined : openRows(databaseUrl);

function openRows(url) {
  const sql = postgres(url, { max: poolSize });
  return {
    /** Undefined if there is no such person. */
    async find(id) {
      const [person] = await sql`select id, username, email, created_at from people where id = ${id}`;
      return person;
    },
    list: () => sql`select id, username, email, created_at from people order by id limit 20`,
  };
}
