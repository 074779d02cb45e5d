/**
 * The payload of a job on its way into the table. It is stored as the JSON that the caller gave, and not as what the
 * schema makes of it: a runner gives the stored text to the schema once more, perhaps in a later version of the program.
 * Therefore the schema is shown here what a runner will see, which is the JSON read back: a Date is a string by then.
 */

import type * as z from 'zod';
import { AppError, type FieldError } from '../errors.ts';
import { maxJsonDepth, storableJson } from './json-text.ts';
import type { TaskDefinition } from './task.ts';
import { boundedJson, JsonLimitError } from './thread/bounded-json.ts';

/** The most bytes that a payload may have as JSON: a file belongs elsewhere, and its name into the payload. */
export const maxPayloadBytes = 1_048_576;

/** The most errors that one refusal lists. */
const maxFaults = 50;

/**
 * Returns the payload as JSON text. Throws an AppError `validation_failed` with a JSON Pointer (RFC 6901) into the payload
 * for each error, and for one that is no JSON, too long, too deep, or not to be stored.
 */
export function checkPayload({ name, payload: schema }: TaskDefinition, payload: unknown): string {
  const json = toJson(name, payload);
  const result = schema.safeParse(JSON.parse(json));
  if (!result.success) throw refusal(name, result.error.issues.flatMap(toFieldErrors));
  return json;
}

function toJson(name: string, payload: unknown): string {
  const refuse = (detail: string) => refusal(name, [{ in: 'body', pointer: '', detail }]);
  let json: string;
  try {
    json = boundedJson(payload, maxPayloadBytes) ?? 'null';
  } catch (error) {
    if (!(error instanceof JsonLimitError)) {
      throw refuse(
        'It cannot be written as JSON: give plain objects, arrays, texts and numbers without a circle.',
      );
    }
    throw refuse(
      error.limit === 'size'
        ? `It has more than ${maxPayloadBytes} bytes as JSON: store it, and give its id.`
        : `It has more than ${maxJsonDepth} arrays and objects within one another: give a flatter payload.`,
    );
  }
  if (storableJson(json) !== json) {
    throw refuse(
      'A text in it cannot be stored: remove NUL characters (U+0000) and halves of surrogate pairs.',
    );
  }
  return json;
}

function refusal(name: string, errors: readonly FieldError[]): AppError {
  return new AppError(
    'validation_failed',
    `The payload is not as the task ${name} takes it; "errors" says where and why.`,
    { errors: errors.slice(0, maxFaults) },
  );
}

function toFieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      in: 'body',
      pointer: toPointer([...issue.path, key]),
      detail: 'There is no such field; leave it out.',
    }));
  }
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return [
    {
      in: 'body',
      pointer: toPointer(issue.path),
      detail: isMissing ? 'This field is required.' : issue.message,
    },
  ];
}

function toPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
