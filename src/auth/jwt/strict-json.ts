/**
 * Unambiguous JSON: valid UTF-8, no byte order mark, and no object with duplicate members. RFC 7515 (section 4) and RFC 7519
 * (section 4) require unique names. `JSON.parse` silently keeps the last duplicate, and another reader of the same token may
 * keep the first.
 *
 * How duplicates are found: in valid JSON each member has exactly one colon outside strings. If the text has more such colons
 * than the parsed value has members, the text contains duplicates.
 */

import { withoutStacks } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const string = /"(?:[^"\\]|\\.)*"/g;

/** Parses a JSON object. Returns undefined for any other content. */
export function parseStrictObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = utf8.decode(bytes);
    const value: unknown = withoutStacks(() => JSON.parse(text));
    const colons = text.replace(string, '').split(':').length - 1;
    return isObject(value) && countMembers(value) === colons ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Counts the members of all objects in a value, at any depth. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner: readonly unknown[] = Object.values(value);
  const own = Array.isArray(value) ? 0 : inner.length;
  return inner.reduce((sum: number, each) => sum + countMembers(each), own);
}
