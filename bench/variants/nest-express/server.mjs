/** Nest on Express, its default: helmet, and pino for both lines of a request. */

import { randomUUID } from 'node:crypto';
import { ExpressAdapter } from '@nestjs/platform-express';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';
import responseTime from 'response-time';
import { host, port } from '../environment.mjs';
import { corsOptions, createApp } from '../nest/app.mjs';

const app = await createApp(new ExpressAdapter());
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
app.enableCors(corsOptions);
await app.listen(port, host);
