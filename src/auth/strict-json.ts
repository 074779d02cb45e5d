/**
 * JSON in which two readers cannot see two things: valid UTF-8, no byte order mark, and no object with the same member
 * twice. RFC 7515 (section 4) and RFC 7519 (section 4) ask for unique names; `JSON.parse` keeps the last one without
 * a word, and another reader of the same token may have kept the first.
 *
 * How duplicates are found. In valid JSON each member brings exactly one colon that is not inside a string. If the
 * text has more of them than the parsed value has members, some were lost, and these are the duplicates.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const string = /"(?:[^"\\]|\\.)*"/g;

/** The object that the bytes hold, or undefined if they hold anything else. */
export function parseStrictObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = utf8.decode(bytes);
    const value: unknown = JSON.parse(text);
    const colons = text.replace(string, '').split(':').length - 1;
    return isObject(value) && countMembers(value) === colons ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members of all objects in a value, at any depth. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner: readonly unknown[] = Object.values(value);
  const own = Array.isArray(value) ? 0 : inner.length;
  return inner.reduce((sum: number, each) => sum + countMembers(each), own);
}
