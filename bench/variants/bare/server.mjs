/** The floor: `node:http` and one comparison. Nothing is checked, limited or logged. */

import { createServer } from 'node:http';
import { host, port } from '../environment.mjs';
import { makePerson } from '../people.mjs';

const prefix = '/api/v1/people/';

createServer((request, response) => {
  const id = request.url.startsWith(prefix) ? Number(request.url.slice(prefix.length)) : Number.NaN;
  if (request.method !== 'GET' || !Number.isInteger(id)) {
    response.writeHead(404).end();
    return;
  }
  const body = JSON.stringify(makePerson(id));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}).listen(port, host);
