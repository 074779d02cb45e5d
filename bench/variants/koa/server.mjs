/**
 * Koa, which is a core only, with the packages that a team adds to it: router, body parser, helmet, cors, a limiter,
 * pino for both lines of a request, tokens, zod for what comes in.
 */

import { randomUUID } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import cors from '@koa/cors';
import Router from '@koa/router';
import Koa from 'koa';
import helmet from 'koa-helmet';
import jwt from 'koa-jwt';
import logger from 'koa-pino-logger';
import rateLimit from 'koa-ratelimit';
import { host, jwtAudience, jwtIssuer, jwtSecret, limit, origin, port } from '../environment.mjs';
import { createPerson, makePerson } from '../people.mjs';
import { rows } from '../rows.mjs';
import { idParams, newPerson } from '../zod-schemas.mjs';
import { errors } from './errors.mjs';
import { processTime } from './process-time.mjs';
import { validate } from './validate.mjs';

const app = new Koa();
app.use(
  logger({
    genReqId(request, response) {
      const id = request.headers['x-request-id'] ?? randomUUID();
      response.setHeader('x-request-id', id);
      return id;
    },
    customReceivedMessage: () => 'request received',
  }),
);
app.use(processTime());
app.use(helmet());
app.use(cors({ origin, credentials: true }));
app.use(errors());
app.use(rateLimit({ driver: 'memory', db: new Map(), duration: 60_000, max: limit }));
app.use(bodyParser());

const requireToken = jwt({
  secret: jwtSecret,
  algorithms: ['HS256'],
  issuer: jwtIssuer,
  audience: jwtAudience,
});
const router = new Router({ prefix: '/api/v1' });
router.get('/hello', (ctx) => {
  ctx.body = { message: 'Hello, world' };
});
router.get('/people/:id', validate({ params: idParams }), (ctx) => {
  ctx.body = makePerson(ctx.state.params.id);
});
router.post('/people', validate({ body: newPerson }), (ctx) => {
  ctx.status = 201;
  ctx.body = createPerson(ctx.state.body);
});
router.get('/me', requireToken, (ctx) => {
  ctx.body = makePerson(Number(ctx.state.user.sub));
});
if (rows !== undefined) {
  router.get('/rows/:id', validate({ params: idParams }), async (ctx) => {
    const person = await rows.find(ctx.state.params.id);
    if (person === undefined) ctx.throw(404, 'There is no such person.');
    ctx.body = person;
  });
  router.get('/rows', async (ctx) => {
    ctx.body = { items: await rows.list() };
  });
}
app.use(router.routes());
app.use(router.allowedMethods());
app.listen(port, host);
