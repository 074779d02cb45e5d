import * as z from 'zod';
import { mayChange, versionTag } from '../headers/conditional.ts';
import type { VersionCondition } from './versioned-row.ts';

/**
 * Schemas of parameters and headers that many routes have. A parameter is text, and only plain digits are a number: `Number`
 * would also accept `1e1`, ` 5`, `0x5` and the empty text.
 */

/** The id of a row in a path or a query. */
export const idParameter = integerParameter(1, Number.MAX_SAFE_INTEGER).meta({ format: 'int64', example: 1 });

/** Returns the schema of an integer from `min` to `max` (both at least 0), written in digits. */
export function integerParameter(min: number, max: number) {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} or above` : ` from ${min} to ${max}`;
  const problem = `Use a whole number${range}, in digits only.`;
  return z
    .string()
    .regex(/^[0-9]{1,16}$/, problem)
    .transform(Number)
    .pipe(z.int({ error: problem, abort: true }).min(min, problem).max(max, problem));
}

/** `true` or `false` in a query. */
export const booleanParameter = z
  .enum(['true', 'false'], { error: 'Use true or false.' })
  .transform((text) => text === 'true')
  .pipe(z.boolean());

/** The headers of a conditional write: the change happens only if the row is still at the version that the client knows. */
export const writeConditions = z.object({
  'if-match': z.string().optional().meta({
    description:
      'Make the change only if the entity tag is still one of these (RFC 9110, section 13.1.1); `*` matches any.',
    example: '*',
  }),
  'if-none-match': z.string().optional().meta({
    description:
      'Make the change only if the entity tag is none of these (RFC 9110, section 13.1.2); `*` matches any, so the request fails if the resource exists.',
    example: '"7.v1"',
  }),
});

/** Returns the check of those headers that a service makes with the version of the row, in the transaction of the change. */
export function versionCondition(headers: z.output<typeof writeConditions>, id: number): VersionCondition {
  return (version) => mayChange(headers, versionTag(id, version));
}
