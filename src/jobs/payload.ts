/**
 * Checks the payload of a job before it is stored. The table stores the JSON that the caller passed, not the output of
 * the schema: a runner parses the stored JSON with the schema again, perhaps in a later version of the program. The
 * schema is therefore checked against the JSON read back, which is what a runner will see: a Date is a string by then.
 */

import type * as z from 'zod';
import { AppError, type FieldError, jsonPointer } from '../errors.ts';
import { maxJsonDepth, storableJson } from './json-text.ts';
import type { TaskDefinition } from './task.ts';
import { boundedJson, JsonLimitError } from './thread/bounded-json.ts';

/** Maximum size of a payload as JSON, in bytes. Store a file elsewhere and put its name into the payload. */
const maxPayloadBytes = 1_048_576;

/** Maximum number of errors in one problem. */
const maxErrors = 50;

/**
 * Returns the payload as JSON text. Throws an AppError `validation_failed`, with a JSON Pointer (RFC 6901) for each
 * error, for a payload that the schema rejects, that is not JSON, too large or too deep, or that PostgreSQL cannot
 * store.
 */
export function checkPayload({ name, payload: schema }: TaskDefinition, payload: unknown): string {
  const json = toJson(name, payload);
  const result = schema.safeParse(JSON.parse(json));
  if (!result.success) throw invalidPayload(name, result.error.issues.flatMap(toFieldErrors));
  return json;
}

function toJson(name: string, payload: unknown): string {
  const invalid = (detail: string) => invalidPayload(name, [{ in: 'body', pointer: '', detail }]);
  let json: string;
  try {
    json = boundedJson(payload, maxPayloadBytes) ?? 'null';
  } catch (error) {
    if (!(error instanceof JsonLimitError)) {
      throw invalid(
        'It cannot be converted to JSON: use plain objects, arrays, strings and numbers, without a circular reference.',
      );
    }
    throw invalid(
      error.limit === 'size'
        ? `It has more than ${maxPayloadBytes} bytes as JSON: store the data elsewhere and pass its id.`
        : `It nests more than ${maxJsonDepth} arrays and objects: use a flatter payload.`,
    );
  }
  if (storableJson(json) !== json) {
    throw invalid(
      'One of its strings cannot be stored: remove NUL characters (U+0000) and unpaired surrogates.',
    );
  }
  return json;
}

function invalidPayload(name: string, errors: readonly FieldError[]): AppError {
  return new AppError('validation_failed', `The payload is not valid for the task ${name}: see "errors".`, {
    errors: errors.slice(0, maxErrors),
  });
}

function toFieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      in: 'body',
      pointer: jsonPointer([...issue.path, key]),
      detail: 'This field does not exist: remove it.',
    }));
  }
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return [
    {
      in: 'body',
      pointer: jsonPointer(issue.path),
      detail: isMissing ? 'This field is required.' : issue.message,
    },
  ];
}
