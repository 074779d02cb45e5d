/**
 * The line at the end of a request, written to the null device: by our logger's way for such lines, by our logger's
 * general way (which masks secrets), and by pino itself with the same fields. A call writes a hundred lines and waits
 * until they have left; otherwise they would pile up in memory, and that would be measured.
 */

import pino from 'pino';
import { openLogDestination } from '../../src/observability/log/log-destination.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { compare } from './timing.mjs';

const lines = 100;
const base = { service: 'strata', environment: 'production' };
// Standard output of this process is the null device.
const destination = openLogDestination('json');
const log = createLogger({ level: 'INFO', destination, base }).named('http');
const direct = pino(
  { base, messageKey: 'event', timestamp: pino.stdTimeFunctions.isoTime },
  // Its buffer is one byte smaller than ours, which is its maximum.
  pino.destination({ dest: '/dev/null', sync: false, minLength: 16_383 }),
).child({ logger: 'http' });

const path = '/api/v1/people/42';
const id = 'b5f1f1c8-7a52-4b0c-9d61-0c9a9c6a0001';
const fieldsOf = (duration) => ({
  method: 'GET',
  path,
  route: '/api/v1/people/:id',
  status_code: 200,
  duration_ms: duration,
  client_address: '127.0.0.1',
  request_id: id,
});
const event = 'http.request.complete';

const flushPino = () => new Promise((resolve) => direct.flush(resolve));
const hundred = (write, flush) => (call) => {
  for (let line = 0; line < lines; line += 1) write(((call + line) & 1023) / 1000);
  return flush();
};

await compare(
  'log lines',
  [
    {
      question: 'the end of a request',
      name: 'Strata, line',
      ours: true,
      waits: true,
      call: hundred(
        (duration) =>
          log.line(
            'INFO',
            event,
            `,"method":"GET","path":${JSON.stringify(path)},"route":"/api/v1/people/:id","status_code":200` +
              `,"duration_ms":${duration},"client_address":"127.0.0.1","request_id":"${id}"`,
          ),
        destination.flush,
      ),
    },
    {
      question: 'the end of a request',
      name: 'Strata, info',
      waits: true,
      call: hundred((duration) => log.info(event, fieldsOf(duration)), destination.flush),
    },
    {
      question: 'the end of a request',
      name: 'pino',
      waits: true,
      call: hundred((duration) => direct.info(fieldsOf(duration), event), flushPino),
    },
  ],
  { per: lines },
);
