/** Fastify without plugins, logger and schemas: its router and its reply. */

import Fastify from 'fastify';
import { host, port } from '../environment.mjs';
import { makePerson } from '../people.mjs';

const app = Fastify();
app.get('/api/v1/hello', async () => ({ message: 'Hello, world' }));
app.get('/api/v1/people/:id', async (request) => makePerson(Number(request.params.id)));
await app.listen({ port, host });
