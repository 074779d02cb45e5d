/**
 * Converts values to text and back. The text is JSON: `[version, value]`, or `[version]` for undefined. The caller of a load
 * gets the value as it is read back, so that a hit and a miss return equal values.
 */

import type * as z from 'zod';

/** A value in an object of its own, because undefined is a value too. */
export interface Decoded<Value> {
  readonly value: Value;
}

export interface Encoded<Value> {
  readonly text: string;
  readonly decoded: Decoded<Value>;
}

export interface ValueCodec<Value> {
  /** Returns undefined for a value that cannot be read back. */
  encode(value: unknown): Encoded<Value> | undefined;
  /** Returns undefined for text of another version, or that does not fit the schema. */
  decode(text: string): Decoded<Value> | undefined;
}

export function createValueCodec<Value>(schema: z.ZodType, version: number): ValueCodec<Value> {
  function decode(text: string): Decoded<Value> | undefined {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (!Array.isArray(parsed) || parsed[0] !== version) return undefined;
    if (parsed.length === 1) return { value: undefined as Value };
    const { success, data } = schema.safeParse(parsed[1]);
    return success ? { value: freeze(data) as Value } : undefined;
  }

  return {
    decode,
    encode(value) {
      const text = stringify(value === undefined ? [version] : [version, value]);
      const decoded = text === undefined ? undefined : decode(text);
      return text === undefined || decoded === undefined ? undefined : { text, decoded };
    },
  };
}

/** Returns undefined for a value with a circle or a bigint, which JSON does not have. */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** Freezes a value with everything in it, because all callers get the same object. */
function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const each of Object.values(value)) freeze(each);
  return Object.freeze(value);
}
