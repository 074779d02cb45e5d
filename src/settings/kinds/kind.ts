/**
 * The kinds of values that a variable can have. A kind is a zod schema that parses the text of the environment to a typed
 * value. Its description names the valid values, for error messages and for the documentation.
 *
 * Each kind is made from a reader, a plain function from text to value that calls `reject` for invalid texts. Texts are
 * trimmed and never empty, because an empty variable counts as not set; only a default can be empty.
 */

import * as z from 'zod';
import { quote } from '../quote.ts';

/** Thrown by a reader for an invalid text. The message is a hint for the operator, and may be empty. */
class InvalidValue extends Error {}

/** Rejects the text that is being read. The hint ends the sentence "X is …, but must be …: <hint>." */
export function reject(hint = ''): never {
  throw new InvalidValue(hint);
}

/** Makes a kind from the valid values, in words, and a reader. The message of its issue names the valid values. */
export function kind<Value>(accepts: string, read: (text: string) => Value) {
  return z
    .string()
    .transform((text, context) => {
      try {
        return read(text);
      } catch (error) {
        if (!(error instanceof InvalidValue)) throw error;
        context.addIssue({
          code: 'custom',
          message: error.message === '' ? accepts : `${accepts}: ${error.message}`,
        });
        return z.NEVER;
      }
    })
    .describe(accepts);
}

/** `true` or `false`, or another common spelling, in any case. */
export const boolean = () => kind('true or false', readBoolean);

export function readBoolean(text: string): boolean {
  const word = text.toLowerCase();
  if (['true', '1', 'yes', 'on'].includes(word)) return true;
  if (['false', '0', 'no', 'off'].includes(word)) return false;
  return reject();
}

/** A boolean, or `auto`, which depends on the environment. */
export const autoOrBoolean = () =>
  kind('auto, true or false', (text): 'auto' | boolean =>
    text.toLowerCase() === 'auto' ? 'auto' : readBoolean(text),
  );

/** A whole number in plain decimal digits: no sign, no leading zero, no exponent, no fraction. */
export const integer = (min: number, max: number, unit?: string) =>
  kind(`an integer from ${min} to ${max}${unit === undefined ? '' : ` (${unit})`}`, readInteger(min, max));

export const readInteger = (min: number, max: number) => (text: string) => {
  const value = /^(?:0|[1-9]\d*)$/.test(text) ? Number(text) : reject();
  return value >= min && value <= max ? value : reject();
};

/** One name of a closed list, in any case; `also` maps other spellings, in lower case. */
export const choice = <const Name extends string>(
  names: readonly Name[],
  also: ReadonlyMap<string, Name> = new Map(),
) => kind(`one of ${names.join(', ')}`, readChoice(names, also));

export const readChoice =
  <const Name extends string>(names: readonly Name[], also: ReadonlyMap<string, Name> = new Map()) =>
  (text: string): Name => {
    const wanted = text.toLowerCase();
    return names.find((name) => name.toLowerCase() === wanted) ?? also.get(wanted) ?? reject();
  };

/** A line of text without control characters. */
export const boundedText = (maxLength: number) =>
  kind(`a line of at most ${maxLength} characters`, (value) =>
    value.length <= maxLength && !/\p{Cc}/u.test(value) ? value : reject(),
  );

/** A text that can be the value of a header field (RFC 9110, section 5.5), limited to ASCII. */
export const headerText = () =>
  kind('printable ASCII characters, at most 4096', (value) =>
    /^[ -~]{0,4096}$/.test(value) ? value : reject(),
  );

/** A frozen list without duplicates, written as a JSON array or with commas. `[]` is the empty list. */
export const list = <Item>(items: string, readItem: (text: string) => Item) =>
  kind(`a list of ${items}`, (value): readonly Item[] => {
    try {
      return Object.freeze([...new Set(readItems(value).map((item) => readItem(item.trim())))]);
    } catch (error) {
      // A comma in a password splits the item, and a hint that quotes the item would show half of the password.
      const mayShowPassword = error instanceof InvalidValue && value.includes('@');
      throw mayShowPassword
        ? new InvalidValue('no item may contain a user name or a password before an @')
        : error;
    }
  });

function readItems(value: string): readonly string[] {
  if (!value.startsWith('[')) return value.split(',').filter((item) => item.trim() !== '');
  const items = z.array(z.string()).safeParse(parseJson(value));
  return items.success
    ? items.data
    : reject('it starts with [ but is not a JSON array of strings, such as ["a","b"]');
}

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

/** Returns a text from which the kind reads this value again. */
export function printValue(value: unknown): string {
  return Array.isArray(value) ? JSON.stringify(value) : String(value);
}

/** Rejects the text with a hint about one item of a list. */
export function rejectItem(item: string, why: string): never {
  return reject(`${quote(item)} ${why}`);
}
