/** Fastify with the same layers, reading one row by its id; the driver is the very one that Strata uses. */

import postgres from 'postgres';
import { databaseUrl, host, poolSize, port } from '../environment.mjs';
import { createApp } from '../fastify/app.mjs';

const sql = postgres(databaseUrl, { max: poolSize });

const app = await createApp(async (id) => {
  const [person] = await sql`select id, username, email, created_at from people where id = ${id}`;
  return person;
});
await app.listen({ port, host });
