import * as z from 'zod';
import { mailAddress, maxMailAddressLength } from '../../mail/mail-address.ts';

/**
 * Schemas of values that many bodies have. Their `.meta()`, such as the length of a timestamp, is for the OpenAPI document.
 */

/** The id of a row in a response. */
export const id = z.int().min(1).meta({ format: 'int64', example: 1 });

/**
 * Returns the schema of text of `min` to `max` characters (Unicode code points, as in PostgreSQL). It rejects NUL, which
 * PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot encode.
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

/** An e-mail address to which mail can be sent (`mail-address.ts` explains which forms are rejected). */
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

/** A point in time in a response: a Date becomes RFC 3339 text in UTC with milliseconds. */
export const timestamp = z
  .date()
  .transform((date) => date.toISOString())
  .pipe(z.string().meta({ format: 'date-time', maxLength: 24, example: '2026-01-31T12:00:00.000Z' }));

/**
 * Returns the schema of a PATCH body in the manner of RFC 7396: any of the fields, at least one, and no others. The fields in
 * `beside` change nothing themselves, so they do not count.
 */
export function patchOf<Shape extends z.ZodRawShape>(fields: Shape, beside: readonly string[] = []) {
  return z
    .strictObject(fields)
    .partial()
    .refine((patch) => Object.keys(patch).some((name) => !beside.includes(name)), {
      error: 'Send at least one field to change.',
      when: ({ issues }) => issues.length === 0,
    })
    .meta({ description: 'The fields to change; other fields stay unchanged.', minProperties: 1 });
}
