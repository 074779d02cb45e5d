/** The floor: `node:http` and comparisons. Nothing is validated, limited or logged; only a token is verified. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { host, jwtAudience, jwtIssuer, jwtSecret, port } from '../environment.mjs';
import { createPerson, makePerson } from '../people.mjs';
import { rows } from '../rows.mjs';

const prefix = '/api/v1';
const people = `${prefix}/people/`;
const row = `${prefix}/rows/`;

createServer((request, response) => {
  const { method, url } = request;
  if (method === 'GET' && url.startsWith(people)) {
    const id = Number(url.slice(people.length));
    return Number.isInteger(id) ? send(response, 200, makePerson(id)) : notFound(response);
  }
  if (method === 'GET' && url === `${prefix}/hello`) return send(response, 200, { message: 'Hello, world' });
  if (method === 'GET' && url === `${prefix}/me`) {
    const claims = verify(request.headers.authorization);
    if (claims === undefined) return void response.writeHead(401).end();
    return send(response, 200, makePerson(Number(claims.sub)));
  }
  if (method === 'POST' && url === `${prefix}/people`) return create(request, response);
  if (method === 'GET' && rows !== undefined) {
    if (url === `${prefix}/rows`) return answer(response, rows.list(), (items) => ({ items }));
    if (url.startsWith(row)) return answer(response, rows.find(url.slice(row.length)));
  }
  notFound(response);
}).listen(port, host);

function create(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => send(response, 201, createPerson(JSON.parse(Buffer.concat(chunks)))));
}

function answer(response, promise, shape = (found) => found) {
  promise.then(
    (found) => (found === undefined ? notFound(response) : send(response, 200, shape(found))),
    () => response.writeHead(500).end(),
  );
}

function send(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

function notFound(response) {
  response.writeHead(404).end();
}

/** The claims of a token that holds now, checked in as few steps as that can be done; otherwise undefined. */
function verify(authorization = '') {
  const [header, payload, signature] = authorization.slice('Bearer '.length).split('.');
  if (signature === undefined) return undefined;
  const given = Buffer.from(signature, 'base64url');
  const expected = createHmac('sha256', jwtSecret).update(`${header}.${payload}`).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const holds = claims.iss === jwtIssuer && claims.aud === jwtAudience && claims.exp > Date.now() / 1000;
  return holds ? claims : undefined;
}
