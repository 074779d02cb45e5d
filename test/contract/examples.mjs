/**
 * Sends every operation of the document with the examples that stand in it, as the docs page would, to a server with
 * an empty database; each must succeed, with a declared status and an answer that its declared schema holds true of.
 * Run as `node examples.mjs <document> <server>`.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const [file = '', server = ''] = process.argv.slice(2);
const document = JSON.parse(await readFile(file, 'utf8'));

const ajv = new Ajv.default({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, 'document');

/** First what makes things, then what reads and changes them, and last, from the end, what removes them. */
const order = ['post', 'get', 'put', 'patch', 'delete'];
const operations = Object.entries(document.paths)
  .flatMap(([path, item], at) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation, at })),
  )
  .sort(
    (a, b) =>
      order.indexOf(a.method) - order.indexOf(b.method) ||
      (a.method === 'delete' ? b.at - a.at : a.at - b.at),
  );

let sent = 0;
for (const { path, method, operation } of operations) {
  const bodies = Object.entries(operation.requestBody?.content ?? { '': {} });
  for (const [contentType, { example }] of bodies) {
    const where = `${method.toUpperCase()} ${path}${contentType === '' ? '' : ` with ${contentType}`}`;
    const { url, headers } = fill(path, operation.parameters ?? [], where);
    if (contentType !== '') {
      assert.notEqual(example, undefined, `${where} has no example of its body.`);
      headers.set('content-type', contentType);
    }
    const response = await fetch(url, {
      method: method.toUpperCase(),
      headers,
      ...(contentType !== '' && { body: JSON.stringify(example) }),
    });
    await check(response, operation, where);
    sent += 1;
  }
}
console.log(`${sent} requests`);

/** The request's address and headers, with the example of each parameter that has one. */
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
  const text = await response.text();
  assert(response.ok, `${where} was answered with ${response.status}: ${text}`);
  const declared = operation.responses[response.status];
  assert(declared, `${where} was answered with ${response.status}, which is not declared.`);
  for (const name of ['location', 'link', 'etag', 'retry-after']) {
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
  const validate = ajv.compile(absolute(media.schema));
  assert(validate(JSON.parse(text)), `${where}: ${ajv.errorsText(validate.errors)} in ${text}`);
}

/** References of the document, for a schema that is compiled outside of it. */
function absolute(schema) {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"document#/'));
}
