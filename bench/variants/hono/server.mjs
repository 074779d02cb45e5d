/**
 * Hono on its server for Node, with the middleware that it brings (security headers, origins, request id, tokens) and
 * those of others that its documentation lists: hono-rate-limiter, hono-pino, the validator for zod.
 */

import { serve } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import { zValidator } from '@hono/zod-validator';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { jwt } from 'hono/jwt';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { pinoLogger } from 'hono-pino';
import { rateLimiter } from 'hono-rate-limiter';
import { host, jwtAudience, jwtIssuer, jwtSecret, limit, origin, port } from '../environment.mjs';
import { createPerson, makePerson } from '../people.mjs';
import { rows } from '../rows.mjs';
import { idParams, newPerson } from '../zod-schemas.mjs';
import { processTime } from './process-time.mjs';

const requireToken = jwt({
  secret: jwtSecret,
  alg: 'HS256',
  verification: { iss: jwtIssuer, aud: jwtAudience, typ: 'at+jwt' },
});
const api = new Hono();
api.get('/hello', (c) => c.json({ message: 'Hello, world' }));
api.get('/people/:id', zValidator('param', idParams), (c) => c.json(makePerson(c.req.valid('param').id)));
api.post('/people', zValidator('json', newPerson), (c) => c.json(createPerson(c.req.valid('json')), 201));
api.get('/me', requireToken, (c) => c.json(makePerson(Number(c.get('jwtPayload').sub))));
if (rows !== undefined) {
  api.get('/rows/:id', zValidator('param', idParams), async (c) => {
    const person = await rows.find(c.req.valid('param').id);
    return person === undefined ? c.notFound() : c.json(person);
  });
  api.get('/rows', async (c) => c.json({ items: await rows.list() }));
}

const app = new Hono();
app.use(requestId());
app.use(pinoLogger({ http: { onReqMessage: () => 'Request received' } }));
app.use(processTime());
app.use(secureHeaders({ contentSecurityPolicy: { defaultSrc: ["'self'"] } }));
app.use(cors({ origin: [origin], credentials: true }));
app.use(
  rateLimiter({
    windowMs: 60_000,
    limit,
    standardHeaders: 'draft-7',
    keyGenerator: (c) => getConnInfo(c).remote.address,
  }),
);
app.route('/api/v1', api);
app.notFound((c) => c.json({ message: 'There is nothing here.' }, 404));
serve({ fetch: app.fetch, hostname: host, port });
