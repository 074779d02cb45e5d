/** Text for log lines: cut to a length, and without characters that a terminal or a viewer interprets instead of showing. */

/** Cuts a text to `max` UTF-16 units, never inside a surrogate pair, and appends the number of removed units. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const earlier = cutMark.exec(text);
  const [whole, removed] = earlier === null ? [text.length, 0] : [earlier.index, Number(earlier[1])];
  const kept = Math.min(isHighSurrogate(text.charCodeAt(max - 1)) ? max - 1 : max, whole);
  return `${text.slice(0, kept)}… [+${whole - kept + removed} characters]`;
}

/** The mark that `cutText` appends. A text that is cut again keeps one mark, with the sum. */
const cutMark = /… \[\+(\d{1,15}) characters\]$/;

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/**
 * Escapes invisible and reordering characters in a JSON text: C1 controls, line and paragraph separators, bidirectional
 * controls, zero-width and other ignorable characters. JSON.stringify escapes only C0 controls and lone surrogates. In JSON
 * these characters occur only inside strings.
 */
export function escapeInvisible(json: string): string {
  // Almost every line is printable ASCII, and this test is several times as fast as the Unicode expression.
  return unusual.test(json) ? json.replace(invisible, toEscapes) : json;
}

const unusual = /[^\n -~]/;
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function toEscapes(character: string): string {
  // The newline at the end of the line. All others are escaped in JSON text.
  if (character === '\n') return character;
  let escapes = '';
  for (let index = 0; index < character.length; index += 1)
    escapes += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  return escapes;
}

/** Returns a string as JSON text, for lines that bypass pino. Most texts need no escape. */
export function quoteText(text: string): string {
  return plain.test(text) ? `"${text}"` : escapeInvisible(JSON.stringify(text));
}

const plain = /^[\w\-./~:=&%,+*@!$';() ]*$/;
