/**
 * Fastify as its documentation has a team set it up: its logger, its plugins for security headers, origins, limits
 * and tokens, a request id, schemas for what comes in and what goes out.
 *
 * The layers of ours that it has no counterpart for here cost it nothing: host check, deadline, compression,
 * conditional requests.
 */

import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import Fastify from 'fastify';
import { host, jwtAudience, jwtIssuer, jwtSecret, limit, origin, port } from '../environment.mjs';
import { createPerson, makePerson, noteRule } from '../people.mjs';
import { rows } from '../rows.mjs';
import * as schemas from './schemas.mjs';

const app = Fastify({
  logger: true,
  requestIdHeader: 'x-request-id',
  genReqId: () => randomUUID(),
});
app.addHook('onSend', (request, reply, payload, done) => {
  reply.header('x-request-id', request.id);
  reply.header('x-process-time', reply.elapsedTime.toFixed(3));
  done(null, payload);
});
await app.register(helmet);
await app.register(cors, { origin: [origin], credentials: true });
await app.register(rateLimit, { max: limit, timeWindow: '1 minute' });
await app.register(jwt, {
  secret: jwtSecret,
  verify: { algorithms: ['HS256'], allowedIss: jwtIssuer, allowedAud: jwtAudience },
});
app.setNotFoundHandler({ preHandler: app.rateLimit() }, (_request, reply) => {
  reply.code(404).send({ statusCode: 404, error: 'Not Found', message: 'There is nothing here.' });
});

app.get('/api/v1/hello', { schema: schemas.hello }, async () => ({ message: 'Hello, world' }));
app.get('/api/v1/people/:id', { schema: schemas.getPerson }, async (request) =>
  makePerson(request.params.id),
);
app.post('/api/v1/people', { schema: schemas.createPerson }, async (request, reply) => {
  reply.code(201);
  return createPerson(request.body);
});
app.get('/api/v1/me', { schema: schemas.me, onRequest: (request) => request.jwtVerify() }, async (request) =>
  makePerson(Number(request.user.sub)),
);
app.post(
  '/api/v1/notes',
  { schema: schemas.createPerson, bodyLimit: noteRule.maxBytes },
  async (request, reply) => {
    reply.code(201);
    return createPerson(request.body);
  },
);
const onlyAdministrators = async (request) => {
  await request.jwtVerify();
  if (request.user.role !== 'admin') {
    throw Object.assign(new Error('Only administrators may read this.'), { statusCode: 403 });
  }
};
app.get('/api/v1/admin', { schema: schemas.me, onRequest: onlyAdministrators }, async (request) =>
  makePerson(Number(request.user.sub)),
);
if (rows !== undefined) {
  app.get('/api/v1/rows/:id', { schema: schemas.getPerson }, async (request, reply) => {
    const person = await rows.find(request.params.id);
    if (person === undefined) return reply.callNotFound();
    return person;
  });
  app.get('/api/v1/rows', { schema: schemas.list }, async () => ({ items: await rows.list() }));
}
await app.listen({ port, host });
