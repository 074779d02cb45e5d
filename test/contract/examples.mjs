/**
 * Sends every operation of the document with its examples, like the docs page, to a server whose database contains only an
 * admin. Each must succeed, with a declared status and a body that matches the declared schema. The caller is the user that
 * the examples register; where that user gets 403, the admin repeats the request.
 * Run as `node examples.mjs <document> <server> <username of the admin>`. Both users have the password of the examples.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const [file = '', server = '', admin = ''] = process.argv.slice(2);
const document = JSON.parse(await readFile(file, 'utf8'));

const ajv = new Ajv.default({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, 'document');

/** Operations whose examples cannot succeed, since they need a value that only the server creates, and their status. */
const rejections = new Map([
  ['refresh', 401],
  ['changePassword', 422],
  ['confirmPasswordReset', 422],
  ['confirmEmail', 422],
  ['endSession', 404],
]);

/** Operations that create rows are sent first, then those that read, change and remove them; last those that end the session. */
const early = ['registerUser', 'login'];
const order = ['post', 'get', 'put', 'patch', 'delete'];
const late = ['logout', 'logoutAll', 'deleteUser'];

const operations = Object.entries(document.paths)
  .flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })))
  .sort((a, b) => rankOf(a) - rankOf(b));

const user = document.paths['/api/v1/auth/login'].post.requestBody.content['application/json'].example;
let token = '';
let sent = 0;
for (const { path, method, operation } of operations) {
  const { operationId, security, parameters = [], requestBody } = operation;
  const where = `${method.toUpperCase()} ${path}`;
  const isProtected = security.every((requirement) => Object.keys(requirement).length > 0);
  if (isProtected && (token === '' || late.includes(operationId))) token = await signIn(user.username);

  for (const [contentType, { example }] of Object.entries(requestBody?.content ?? { '': {} })) {
    if (requestBody?.required) assert(example, `${where} has no example of its body as ${contentType}.`);
    const { url, headers } = fill(path, parameters, where);
    const body = example && encode(example, contentType);
    // For a multipart form, fetch sets the type, with the boundary.
    if (body && !(body instanceof FormData)) headers.set('content-type', contentType);
    if (isProtected) headers.set('authorization', `Bearer ${token}`);
    let response = await fetch(url, { method: method.toUpperCase(), headers, body });
    if (response.status === 403) {
      headers.set('authorization', `Bearer ${await signIn(admin)}`);
      response = await fetch(url, { method: method.toUpperCase(), headers, body });
    }
    await check(response, operation, contentType === '' ? where : `${where} with ${contentType}`);
    sent += 1;
  }
}
console.log(`${sent} requests`);

function rankOf({ method, operation: { operationId } }) {
  if (early.includes(operationId)) return early.indexOf(operationId) - early.length;
  return late.includes(operationId) ? order.length + late.indexOf(operationId) : order.indexOf(method);
}

async function signIn(username) {
  const response = await fetch(`${server}/api/v1/auth/login`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', ...user, username }),
  });
  const { access_token, detail } = await response.json();
  assert(access_token, `${username} could not sign in: ${detail}`);
  return access_token;
}

function encode(example, contentType) {
  if (contentType === 'multipart/form-data') {
    const form = new FormData();
    for (const [name, value] of Object.entries(example))
      form.set(name, name === 'file' ? new Blob([value]) : value);
    return form;
  }
  return contentType === 'application/x-www-form-urlencoded'
    ? new URLSearchParams(example).toString()
    : JSON.stringify(example);
}

/** Returns the URL and the headers of a request, with the example of each parameter that has one. */
function fill(path, parameters, where) {
  const url = new URL(server);
  const headers = new Headers();
  let filled = path;
  for (const { name, in: part, required, example } of parameters) {
    if (required)
      assert.notEqual(example, undefined, `${where} has no example of the ${part} parameter ${name}.`);
    if (example === undefined) continue;
    if (part === 'path') filled = filled.replace(`{${name}}`, encodeURIComponent(example));
    else if (part === 'query') url.searchParams.set(name, example);
    else headers.set(name, example);
  }
  url.pathname = filled;
  return { url, headers };
}

async function check(response, operation, where) {
  const isStream = response.headers.get('content-type') === 'text/event-stream';
  const text = isStream ? await firstEvent(response) : await response.text();
  const rejection = rejections.get(operation.operationId);
  assert(
    rejection === undefined ? response.ok : response.status === rejection,
    `${where} was answered with ${response.status}: ${text}`,
  );
  const declared = operation.responses[response.status];
  assert(declared, `${where} was answered with ${response.status}, which is not declared.`);
  for (const name of ['location', 'link', 'etag', 'retry-after', 'www-authenticate', 'set-cookie']) {
    const isDeclared = Object.keys(declared.headers).some((each) => each.toLowerCase() === name);
    assert(isDeclared || !response.headers.has(name), `${where} was answered with an undeclared ${name}.`);
  }
  const contentType = response.headers.get('content-type')?.split(';')[0];
  if (declared.content === undefined) {
    assert.equal(text, '', `${where} was answered with a body, and none is declared.`);
    return;
  }
  const media = declared.content[contentType ?? ''];
  assert(media, `${where} was answered with ${contentType}, which is not declared.`);
  if (isStream) return;
  const validate = ajv.compile(absolute(media.schema));
  assert(validate(JSON.parse(text)), `${where}: ${ajv.errorsText(validate.errors)} in ${text}`);
}

/** Reads the first event of a stream, which would otherwise go on as long as it is read. */
async function firstEvent(response) {
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (/^data: .*\n\n/m.test(text)) break;
  }
  return text;
}

/** Makes the references of a schema absolute, since it is compiled outside the document. */
function absolute(schema) {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"document#/'));
}
