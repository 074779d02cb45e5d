/**
 * Validates the parts of a request with the schemas of its route. All errors of all parts are reported in one response, each
 * with its place and what to do about it.
 */

import type * as z from 'zod';
import { AppError, type FieldError, jsonPointer } from '../errors.ts';

export type Part = FieldError['in'];

export interface PartInput {
  readonly part: Part;
  readonly schema: z.ZodType;
  readonly value: unknown;
}

export type Validated =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly errors: FieldError[] };

/** Validates one part of the request. Never throws. */
export function validatePart({ part, schema, value }: PartInput): Validated {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const issues = result.error.issues.slice(0, maxFieldErrors);
  return {
    ok: false,
    errors: issues.flatMap((issue) => toFieldErrors(part, issue, value)).slice(0, maxFieldErrors),
  };
}

/** Returns the error for invalid fields: 422 `validation_failed`. It lists at most `maxFieldErrors` of them. */
export function validationFailed(found: readonly FieldError[]): AppError {
  const errors = found.slice(0, maxFieldErrors);
  const atLeast = errors.length === maxFieldErrors ? 'At least ' : '';
  const count = errors.length === 1 ? 'One value is' : `${atLeast}${errors.length} values are`;
  return new AppError('validation_failed', `${count} invalid; "errors" lists which and why.`, { errors });
}

/** Returns the error for one field of the body, for a reason that its schema cannot check. */
export function invalidField(pointer: string, detail: string): AppError {
  return new AppError('validation_failed', detail, { errors: [{ in: 'body', pointer, detail }] });
}

/** The maximum number of field errors in one response, so that a body with a million invalid items gets a short response. */
export const maxFieldErrors = 50;

function toFieldErrors(part: Part, issue: z.core.$ZodIssue, value: unknown): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, maxFieldErrors).map((key) => ({
      in: part,
      pointer: jsonPointer([...issue.path, key]),
      detail: 'There is no such field; leave it out.',
    }));
  }
  const pointer = jsonPointer(issue.path);
  if (part === 'body' && pointer === '' && value === undefined)
    return [{ in: part, pointer, detail: 'This route needs a body.' }];
  const missing =
    issue.code === 'invalid_type' &&
    issue.input === undefined &&
    issue.message.includes('received undefined');
  return [{ in: part, pointer, detail: missing ? 'This field is required.' : issue.message }];
}
