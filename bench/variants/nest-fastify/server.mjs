/** Nest on Fastify: @fastify/helmet, and Fastify's own logger for both lines of a request. */

import { randomUUID } from 'node:crypto';
import helmet from '@fastify/helmet';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { host, port } from '../environment.mjs';
import { corsOptions, createApp } from '../nest/app.mjs';

const adapter = new FastifyAdapter({
  logger: true,
  requestIdHeader: 'x-request-id',
  genReqId: () => randomUUID(),
});
adapter.getInstance().addHook('onSend', (request, reply, payload, done) => {
  reply.header('x-request-id', request.id);
  reply.header('x-process-time', reply.elapsedTime.toFixed(3));
  done(null, payload);
});
const app = await createApp(adapter);
await app.register(helmet);
app.enableCors(corsOptions);
await app.listen(port, host);
