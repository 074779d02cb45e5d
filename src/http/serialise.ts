import type * as z from 'zod';
import { AppError } from '../errors.ts';

/** Makes JSON text of a value, or throws an AppError. */
export type Serialise = (value: unknown) => string;

/**
 * The serialiser of a response schema. A value goes out only through the schema that its route declares for the
 * status: what the schema does not name is left out, and a value that the schema refuses is a fault of the
 * server (`response_invalid`, answered as 500), never a malformed answer.
 */
export function createSerialiser(schema: z.ZodType, operation: string): Serialise {
  return function serialise(value) {
    const result = schema.safeParse(value);
    if (!result.success) {
      throw new AppError('response_invalid', `The answer of ${operation} does not fit its response schema.`, {
        cause: result.error,
      });
    }
    return JSON.stringify(result.data);
  };
}
