/**
 * Checks responses against the OpenAPI document: the operation documents the status, the body has a documented media type
 * and matches its schema, and so do the headers.
 */

import assert from 'node:assert/strict';
import * as z from 'zod';
import type { OpenApiDocument } from '../../src/openapi/document.ts';
import type { Header, HeaderUse } from '../../src/openapi/headers.ts';
import type { Operation } from '../../src/openapi/operation.ts';
import type { JsonSchema } from '../../src/openapi/schemas.ts';

export interface ReceivedResponse {
  readonly status: number;
  /** By lower-case name. A repeated field has one entry per line. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

/** Fields that every response may have: framing, security policies, diagnostics. */
const usual =
  /^(?:date|connection|keep-alive|transfer-encoding|content-(?:type|length|encoding|language|disposition)|vary|cache-control|allow|accept-ranges|x-process-time|server-timing|access-control-.*|cross-origin-.*|content-security-policy|permissions-policy|referrer-policy|strict-transport-security|x-.*|origin-agent-cluster|accept-.*|pragma|expires)$/;

const uriReference = `"pattern":${JSON.stringify("^(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$")}`;

/** Returns a function that throws an AssertionError for a response that the document does not describe. */
export function createDocumentCheck({ components, paths }: OpenApiDocument) {
  const compiled = new Map<string, z.ZodType>();

  function schemaOf(schema: JsonSchema): z.ZodType {
    const text = JSON.stringify(schema);
    const before = compiled.get(text);
    if (before !== undefined) return before;
    const all = JSON.stringify({ ...schema, $defs: components.schemas });
    // zod accepts only absolute URLs as a `uri-reference`.
    const known = all
      .replaceAll('#/components/schemas/', '#/$defs/')
      .replaceAll('"format":"uri-reference"', () => uriReference);
    const made = z.fromJSONSchema(JSON.parse(known));
    compiled.set(text, made);
    return made;
  }

  function headerOf(use: HeaderUse): Header {
    if (!('$ref' in use)) return use;
    const header = components.headers[use.$ref.slice('#/components/headers/'.length)];
    assert.ok(header, `${use.$ref} leads nowhere`);
    return header;
  }

  function checkHeader(name: string, value: string, use: HeaderUse): void {
    const { schema } = headerOf(use);
    const result = schemaOf(schema).safeParse(schema.type === 'integer' ? Number(value) : value);
    assert.ok(result.success, `the field ${name}: ${value}\n${result.error}`);
  }

  function check(operation: Operation, answer: ReceivedResponse): void {
    const { status, headers, text } = answer;
    const use = operation.responses[String(status)];
    const described =
      use !== undefined && '$ref' in use
        ? components.responses[use.$ref.slice('#/components/responses/'.length)]
        : use;
    assert.ok(described, `${operation.operationId} does not document ${status}: ${text.slice(0, 300)}`);
    const fields = new Map(Object.entries(described.headers).map(([name, use]) => [name.toLowerCase(), use]));
    for (const [name, value] of Object.entries(headers)) {
      const use = fields.get(name);
      assert.ok(
        use !== undefined || usual.test(name),
        `${operation.operationId} ${status} does not document the field ${name}`,
      );
      if (use === undefined || value === undefined) continue;
      for (const line of typeof value === 'string' ? [value] : value) checkHeader(name, line, use);
    }
    if (text === '') return;
    const type = String(headers['content-type']).split(';')[0] ?? '';
    const content = described.content?.[type];
    assert.ok(content, `${operation.operationId} ${status} does not document the type ${type}`);
    if (content.schema === undefined || !type.endsWith('json')) return;
    const result = schemaOf(content.schema).safeParse(JSON.parse(text));
    assert.ok(result.success, `${operation.operationId} ${status}: ${text.slice(0, 500)}\n${result.error}`);
  }

  return { check, operations: operationsOf(paths) };
}

export interface DocumentedOperation {
  readonly method: string;
  /** Such as `/users/{id}`. */
  readonly template: string;
  readonly operation: Operation;
}

function operationsOf(paths: OpenApiDocument['paths']): DocumentedOperation[] {
  return Object.entries(paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      ...{ method: method.toUpperCase(), template, operation },
    })),
  );
}
