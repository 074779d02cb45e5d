/**
 * Text as a log line may have it: cut to a length, and without a character that a terminal or a viewer obeys
 * instead of showing.
 */

/** Cuts a text to a number of UTF-16 units, never inside a surrogate pair, and tells how many units were removed. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const earlier = cutMark.exec(text);
  const [whole, removed] = earlier === null ? [text.length, 0] : [earlier.index, Number(earlier[1])];
  const kept = Math.min(isHighSurrogate(text.charCodeAt(max - 1)) ? max - 1 : max, whole);
  return `${text.slice(0, kept)}… [+${whole - kept + removed} characters]`;
}

/** What `cutText` appends. A text that is cut again keeps one mark, with the sum. */
const cutMark = /… \[\+(\d{1,15}) characters\]$/;

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/**
 * Escapes, in a JSON text, what is invisible or rearranges what is visible: C1 controls, line and paragraph separators,
 * bidirectional controls, zero-width and other ignorable characters. JSON.stringify escapes only C0 and lone surrogates.
 * The characters are inside strings, since JSON has none of them anywhere else.
 */
export function escapeInvisible(json: string): string {
  // Almost every line is printable ASCII, and this expression is several times as fast as the one for Unicode.
  return unusual.test(json) ? json.replace(invisible, toEscapes) : json;
}

const unusual = /[^\n -~]/;
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function toEscapes(character: string): string {
  // Only the newline that ends the line: JSON text escapes the others.
  if (character === '\n') return character;
  let escapes = '';
  for (let index = 0; index < character.length; index += 1)
    escapes += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  return escapes;
}

/** JSON text of a string, for a line that is written without pino. Most texts need no escape. */
export function quoteText(text: string): string {
  return plain.test(text) ? `"${text}"` : escapeInvisible(JSON.stringify(text));
}

const plain = /^[\w\-./~:=&%,+*@!$';() ]*$/;
