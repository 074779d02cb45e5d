import * as z from 'zod';
import { mayChange, versionTag } from './headers/conditional.ts';
import type { VersionCondition } from './versioned-row.ts';

/**
 * Schemas of what many routes take outside of the body. A parameter arrives as text, and only plain digits are a
 * number: not `1e1`, ` 5`, `0x5` or the empty text, all of which `Number` would take.
 */

/** The number of a row, from a path or a query. */
export const idParameter = integerParameter(1, Number.MAX_SAFE_INTEGER).meta({ format: 'int64', example: 1 });

/** An integer of `min` to `max` (both at least 0), written in digits. */
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

/** The headers of a request that changes something only if it is still as the client knows it. */
export const writeConditions = z.object({
  'if-match': z.string().optional().meta({
    description:
      'Do it only if the entity tag is still one of these (RFC 9110, section 13.1.1); `*` stands for any.',
    example: '*',
  }),
  'if-none-match': z.string().optional().meta({
    description:
      'Do it only if the entity tag is none of these (RFC 9110, section 13.1.2); `*` stands for any, so never if there is something to change.',
    example: '"7.v1"',
  }),
});

/** From those headers to the question that a service asks of the row's version, in the transaction that changes it. */
export function versionCondition(headers: z.output<typeof writeConditions>, id: number): VersionCondition {
  return (version) => mayChange(headers, versionTag(id, version));
}
