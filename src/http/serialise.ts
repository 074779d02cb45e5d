import type * as z from 'zod';
import { AppError } from '../errors.ts';

/** Returns the JSON text of a value, or throws an AppError. */
export type Serialise = (value: unknown) => string;

/**
 * Creates the serialiser of a response schema. Fields that the schema does not declare are left out. A value that does not
 * match the schema is a bug of the server (`response_invalid`, sent as a 500), never a malformed response.
 */
export function createSerialiser(schema: z.ZodType, operation: string): Serialise {
  return function serialise(value) {
    const result = schema.safeParse(value);
    if (!result.success) {
      throw new AppError(
        'response_invalid',
        `The reply of ${operation} does not match its response schema.`,
        {
          cause: result.error,
        },
      );
    }
    return JSON.stringify(result.data);
  };
}
