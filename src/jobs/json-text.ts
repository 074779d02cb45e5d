/**
 * Text that PostgreSQL can store. Its `text` takes no U+0000 and no half of a surrogate pair, and its `jsonb` no escape
 * of either, while a string of JavaScript may hold both. What a task says of itself must not make the statement fail
 * that records it, so such characters become U+FFFD, the replacement character.
 */

/** A plain text, for a column or an error message. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

/** JSON text as `JSON.stringify` makes it, which writes a whole pair as it is and half of one as an escape. */
export function storableJson(json: string): string {
  return json.replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|.)/g, (escaped) =>
    escaped.length === 6 ? '\ufffd' : escaped,
  );
}

/**
 * The most arrays and objects within one another that a payload, a result or details may have. What is nested by the
 * thousand can be written by one stack and no longer be read by another: by a thread's, PostgreSQL's, or a request's.
 */
export const maxJsonDepth = 64;
