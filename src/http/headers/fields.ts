import * as z from 'zod';
import { mailAddress, maxMailAddressLength } from '../../mail/mail-address.ts';

/**
 * Schemas of values that many bodies have. What they say of themselves beyond their type, such as the length of a
 * time, is for the OpenAPI document.
 */

/** The number of a row, as answers show it. */
export const id = z.int().min(1).meta({ format: 'int64', example: 1 });

/**
 * Text of `min` to `max` characters (Unicode code points, as PostgreSQL counts). NUL, which PostgreSQL cannot
 * store, and halves of surrogate pairs, which UTF-8 has no bytes for, are refused.
 */
export function text({ min, max }: { readonly min: number; readonly max: number }): z.ZodString {
  const unit = min === 1 ? 'character' : 'characters';
  return z
    .string()
    .min(min, `Use at least ${min} ${unit}.`)
    .max(max, `Use at most ${max} characters.`)
    .refine(
      (value) => !value.includes('\0') && value.isWellFormed(),
      'Remove the characters that are not text: NUL, or half of a surrogate pair.',
    );
}

/**
 * Returns the schema by which responses show a text that requests check with `schema`: with its description, its example and
 * its maximum length, and without its checks. The table checks the text, and a response must not fail because a rule changed.
 */
export function shownAs(schema: z.ZodString): z.ZodString {
  return z
    .string()
    .meta({ ...schema.meta(), ...(schema.maxLength !== null && { maxLength: schema.maxLength }) });
}

/** An e-mail address that mail can be sent to (`mail-address.ts` tells which forms are refused, and why). */
export const email = z
  .string()
  .max(maxMailAddressLength, `Use at most ${maxMailAddressLength} characters.`)
  .regex(mailAddress, 'Use an e-mail address such as ada@example.org.')
  .meta({
    description:
      'ASCII only: an internationalised domain in its form `xn--…`. Quoted local parts and address literals are refused.',
    format: 'email',
    example: 'ada@example.org',
  });

/** A point in time as answers show it: a Date becomes RFC 3339 text in UTC, to the millisecond. */
export const timestamp = z
  .date()
  .transform((date) => date.toISOString())
  .pipe(z.string().meta({ format: 'date-time', maxLength: 24, example: '2026-01-31T12:00:00.000Z' }));

/**
 * The body of a PATCH in the manner of RFC 7396: any of the fields, but one at least, and no others. Those that are
 * named in `beside` change nothing themselves, so they do not count.
 */
export function patchOf<Shape extends z.ZodRawShape>(fields: Shape, beside: readonly string[] = []) {
  return z
    .strictObject(fields)
    .partial()
    .refine((patch) => Object.keys(patch).some((name) => !beside.includes(name)), {
      error: 'Send at least one field to change.',
      when: ({ issues }) => issues.length === 0,
    })
    .meta({ description: 'The fields to change; a field left out stays.', minProperties: 1 });
}
