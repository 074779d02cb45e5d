/**
 * Finds the position of a syntax error in JSON text. `JSON.parse` reports it only in some of its messages, which differ between
 * versions of V8. So text that `JSON.parse` has rejected is read once more, by the grammar of RFC 8259.
 */

export interface JsonSyntaxError {
  /** The index of the first character that is not allowed; the length of the text if it ends too early. */
  readonly position: number;
  readonly line: number;
  readonly column: number;
  /** The reason, as the end of a sentence. */
  readonly detail: string;
}

/** Returns the first syntax error of a JSON text, or undefined. The text must not nest deeper than the stack allows. */
export function findJsonSyntaxError(text: string): JsonSyntaxError | undefined {
  const end = skipSpace(text, readValue(text, skipSpace(text, 0)));
  // A negative end is the bitwise complement of the position of the error.
  const position = end < 0 ? ~end : end;
  if (end >= 0 && position === text.length) return undefined;
  const before = text.slice(0, position);
  const line = before.split('\n').length;
  const column = position - before.lastIndexOf('\n');
  if (/^[ \t\n\r]*$/.test(text)) return { position, line, column, detail: 'it is empty' };
  const character = String.fromCodePoint(text.codePointAt(position) ?? 0);
  const detail = position >= text.length ? 'it ends too early' : `unexpected ${JSON.stringify(character)}`;
  return { position, line, column, detail };
}

/** Each reader returns the position after what it has read, or the bitwise complement of the position of the error. */
type Position = number;

const space = /[ \t\n\r]*/y;
const literals = new Set(['true', 'false', 'null']);
/** Prefixes of literals and numbers. */
const startOfLiteral = /t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?|n(?:u(?:ll?)?)?/y;
const startOfNumber = /-?(?:(?:0|[1-9]\d*)\.(?!\d)|(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d*)?)?/y;
const plainText = /[^"\\\u0000-\u001f]*/y;
const wholeEscape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const startOfEscape = /\\(?:u[0-9a-fA-F]{0,3})?/y;

function behind(pattern: RegExp, text: string, at: Position): Position {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : ~at;
}

function skipSpace(text: string, at: Position): Position {
  return at < 0 ? at : behind(space, text, at);
}

function readValue(text: string, at: Position): Position {
  if (at < 0) return at;
  const first = text[at];
  if (first === '{') return readMembers(text, at, '}', readMember);
  if (first === '[') return readMembers(text, at, ']', readValue);
  if (first === '"') return readString(text, at);
  return first === '-' || isDigit(first) ? readNumber(text, at) : readLiteral(text, at);
}

function readNumber(text: string, at: Position): Position {
  const end = behind(startOfNumber, text, at);
  return isDigit(text[end - 1]) ? end : ~end;
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9';
}

function readLiteral(text: string, at: Position): Position {
  const end = behind(startOfLiteral, text, at);
  return end < 0 || literals.has(text.slice(at, end)) ? end : ~end;
}

function readMembers(
  text: string,
  from: Position,
  close: string,
  readOne: (text: string, at: Position) => Position,
): Position {
  let at = skipSpace(text, from + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = skipSpace(text, readOne(text, at));
    if (at < 0) return at;
    if (text[at] === close) return at + 1;
    if (text[at] !== ',') return ~at;
    at = skipSpace(text, at + 1);
  }
}

function readMember(text: string, at: Position): Position {
  const colon = skipSpace(text, text[at] === '"' ? readString(text, at) : ~at);
  if (colon < 0) return colon;
  return text[colon] === ':' ? readValue(text, skipSpace(text, colon + 1)) : ~colon;
}

function readString(text: string, at: Position): Position {
  let end = at + 1;
  for (;;) {
    end = behind(plainText, text, end);
    if (text[end] === '"') return end + 1;
    if (text[end] !== '\\') return ~end;
    const next = behind(wholeEscape, text, end);
    if (next < 0) return ~behind(startOfEscape, text, end);
    end = next;
  }
}
