/**
 * Express as its documentation and its best practices for production have a team set it up: helmet, cors,
 * express-rate-limit, pino for both lines of a request, zod for what comes in, jsonwebtoken.
 */

import { randomUUID } from 'node:crypto';
import cors from 'cors';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';
import responseTime from 'response-time';
import { host, limit, origin, port } from '../environment.mjs';
import { createPerson, makePerson } from '../people.mjs';
import { rows } from '../rows.mjs';
import { idParams, newPerson } from '../zod-schemas.mjs';
import { handleError } from './handle-error.mjs';
import { requireToken } from './require-token.mjs';
import { validate } from './validate.mjs';

const app = express();
app.use(
  pinoHttp({
    genReqId(request, response) {
      const id = request.headers['x-request-id'] ?? randomUUID();
      response.setHeader('x-request-id', id);
      return id;
    },
    customReceivedMessage: () => 'request received',
  }),
);
app.use(responseTime({ header: 'X-Process-Time', suffix: false }));
app.use(helmet());
app.use(cors({ origin: [origin], credentials: true }));
app.use(rateLimit({ windowMs: 60_000, limit, standardHeaders: 'draft-8', legacyHeaders: false }));
app.use(express.json());

const api = express.Router();
api.get('/hello', (_request, response) => response.json({ message: 'Hello, world' }));
api.get('/people/:id', validate({ params: idParams }), (_request, response) =>
  response.json(makePerson(response.locals.params.id)),
);
api.post('/people', validate({ body: newPerson }), (_request, response) =>
  response.status(201).json(createPerson(response.locals.body)),
);
api.get('/me', requireToken, (_request, response) =>
  response.json(makePerson(Number(response.locals.claims.sub))),
);
if (rows !== undefined) {
  api.get('/rows/:id', validate({ params: idParams }), async (_request, response, next) => {
    const person = await rows.find(response.locals.params.id);
    if (person === undefined) return next();
    response.json(person);
  });
  api.get('/rows', async (_request, response) => response.json({ items: await rows.list() }));
}
app.use('/api/v1', api);
app.use((_request, response) => response.status(404).json({ message: 'There is nothing here.' }));
app.use(handleError);
app.listen(port, host);
