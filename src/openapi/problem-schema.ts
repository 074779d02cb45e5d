import * as z from 'zod';
import { errorCodes } from '../errors.ts';
import { maxDetailLength, maxPointerLength, type Problem } from '../http/problem.ts';

/** Returns the schema of text of at most `max` characters, without NUL. */
const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/);

const fieldErrorSchema = z
  .strictObject({
    in: z.enum(['body', 'query', 'path', 'header']).meta({ description: 'The part of the request.' }),
    // It contains names from the request, which can include NUL.
    pointer: z
      .string()
      .max(maxPointerLength)
      .regex(/^(?:\/(?:[^/~]|~[01])*)*$/)
      .meta({
        description: 'The place in that part, as a JSON Pointer (RFC 6901); empty for the whole part.',
        examples: ['/email'],
      }),
    detail: text(maxDetailLength).meta({
      description: 'How to fix it.',
      examples: ['This field is required.'],
    }),
  })
  .meta({ id: 'FieldError', description: 'An error in one field of the input.' });

/** The schema of every error response (RFC 9457). The compiler checks it against the type that http/problem.ts sends. */
export const problemSchema = z
  .strictObject({
    type: z
      .string()
      .max(64)
      .regex(/^urn:strata:problem:[a-z-]+$/)
      .meta({
        description: 'The identifier of the problem type.',
        examples: ['urn:strata:problem:validation-failed'],
      }),
    title: text(64).meta({ description: 'The problem type in words.', examples: ['Validation failed'] }),
    status: z
      .int()
      .min(400)
      .max(599)
      .meta({ description: 'The status of the response.', examples: [422] }),
    detail: text(maxDetailLength).meta({
      description: 'The problem with this request, and how to fix it.',
      examples: ['One value is invalid; "errors" lists which and why.'],
    }),
    instance: text(8192)
      .meta({
        description: 'The path of the request, as a URI reference. Missing if no reference resolves to it.',
        format: 'uri-reference',
        examples: ['/api/v1/users'],
      })
      .exactOptional(),
    code: z.enum(errorCodes).meta({
      description: 'The same as `type`, as a short code for programs.',
      examples: ['validation_failed'],
    }),
    layer: text(64)
      .meta({
        description: 'The layer that rejected the request, if it did not reach its handler.',
        examples: ['rate-limit'],
      })
      .exactOptional(),
    request_id: text(128)
      .meta({
        description: 'The id to quote when you report it.',
        examples: ['7b0c5b2e-6f0e-4f0c-9d5c-1d1f6a1f7c55'],
      })
      .exactOptional(),
    errors: z
      .array(fieldErrorSchema)
      .max(1000)
      .meta({ description: 'The errors in the input, one for each field.' })
      .exactOptional(),
    debug: z
      .array(text(65_536))
      .max(8)
      .meta({ description: 'The stacks of the error and of its causes; only if debugging is on.' })
      .exactOptional(),
  })
  .meta({ id: 'Problem', description: 'An error response (RFC 9457).' }) satisfies z.ZodType<Problem>;
