/**
 * Fastify as its documentation has a team set it up: its logger, its plugins for security headers, origins and
 * limits, a request id, schemas for parameters and response.
 *
 * The layers of ours that it has no counterpart for here cost it nothing: host check, deadline, compression,
 * conditional requests.
 */

import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import Fastify from 'fastify';
import { limit, origin } from '../environment.mjs';

const schema = {
  params: {
    type: 'object',
    properties: { id: { type: 'integer', minimum: 1 } },
    required: ['id'],
  },
  response: {
    200: {
      type: 'object',
      properties: {
        id: { type: 'integer' },
        username: { type: 'string' },
        email: { type: 'string' },
        created_at: { type: 'string', format: 'date-time' },
      },
    },
  },
};

/** The application with one route; `findPerson` may return a promise, and undefined for nobody. */
export async function createApp(findPerson) {
  const app = Fastify({
    logger: true,
    requestIdHeader: 'x-request-id',
    genReqId: () => randomUUID(),
  });
  await app.register(helmet);
  await app.register(cors, { origin: [origin], credentials: true });
  await app.register(rateLimit, { max: limit, timeWindow: '1 minute' });

  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-process-time', reply.elapsedTime.toFixed(3));
    done(null, payload);
  });

  app.get('/api/v1/people/:id', { schema }, async (request, reply) => {
    const person = await findPerson(request.params.id);
    if (person === undefined) return reply.callNotFound();
    return person;
  });
  return app;
}
