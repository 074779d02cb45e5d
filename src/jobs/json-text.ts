/**
 * Makes text storable in PostgreSQL. `text` rejects U+0000 and unpaired surrogates, and `jsonb` rejects their escapes,
 * while a JavaScript string may contain both. The text of a task must not make the statement fail that records its
 * outcome, so these characters become U+FFFD, the replacement character.
 */

/** Returns plain text that a `text` column accepts. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

/**
 * Returns JSON text that `jsonb` accepts. Expects the output of `JSON.stringify`, which escapes unpaired surrogates.
 */
export function storableJson(json: string): string {
  return json.replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|.)/g, (escaped) =>
    escaped.length === 6 ? '\ufffd' : escaped,
  );
}

/**
 * Maximum nesting of arrays and objects in a payload, a result or details. A value nested thousands of levels deep may
 * fit the stack that writes it and overflow one that reads it: that of a thread, of PostgreSQL or of a request.
 */
export const maxJsonDepth = 64;
