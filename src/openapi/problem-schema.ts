import * as z from 'zod';
import { errorCodes } from '../errors.ts';
import { maxDetailLength, maxPointerLength, type Problem } from '../http/problem.ts';

/** Text of at most so many characters, without NUL. */
const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/);

const fieldErrorSchema = z
  .strictObject({
    in: z.enum(['body', 'query', 'path', 'header']).meta({ description: 'The part of the request.' }),
    // It names members as the client did, NUL included.
    pointer: z
      .string()
      .max(maxPointerLength)
      .regex(/^(?:\/(?:[^/~]|~[01])*)*$/)
      .meta({
        description: 'Where in that part, as a JSON Pointer (RFC 6901); empty for the whole of it.',
        examples: ['/email'],
      }),
    detail: text(maxDetailLength).meta({
      description: 'What to do about it.',
      examples: ['This field is required.'],
    }),
  })
  .meta({ id: 'FieldError', description: 'One fault in the input.' });

/** The form of every refusal (RFC 9457), for the document. The compiler holds it equal to what `http/` sends. */
export const problemSchema = z
  .strictObject({
    type: z
      .string()
      .max(64)
      .regex(/^urn:strata:problem:[a-z-]+$/)
      .meta({
        description: 'The name of this kind of problem.',
        examples: ['urn:strata:problem:validation-failed'],
      }),
    title: text(64).meta({ description: 'The kind of problem in words.', examples: ['Validation failed'] }),
    status: z
      .int()
      .min(400)
      .max(599)
      .meta({ description: 'The status of the answer.', examples: [422] }),
    detail: text(maxDetailLength).meta({
      description: 'What is wrong with this request, and what to do about it.',
      examples: ['One value is not as this route takes them; "errors" says which and why.'],
    }),
    instance: text(8192)
      .meta({
        description: 'The path of the request, as a URI reference. Missing if none resolves to it.',
        format: 'uri-reference',
        examples: ['/api/v1/users'],
      })
      .exactOptional(),
    code: z.enum(errorCodes).meta({
      description: 'The same as `type`, for a switch in a program.',
      examples: ['validation_failed'],
    }),
    layer: text(64)
      .meta({
        description: 'The layer that refused the request, if it did not reach its handler.',
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
      .meta({ description: 'Each fault in the input.' })
      .exactOptional(),
    debug: z
      .array(text(65_536))
      .max(8)
      .meta({ description: 'The stack of the error; only where debugging is on.' })
      .exactOptional(),
  })
  .meta({ id: 'Problem', description: 'A refusal, as RFC 9457 has it.' }) satisfies z.ZodType<Problem>;
