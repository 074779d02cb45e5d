/**
 * Parses the bytes of a body to the value that its schema validates. JSON is parsed strictly: valid UTF-8, no lone surrogates
 * (RFC 8259, section 8.2), no member named `__proto__`, and limited nesting, so that recursive code that processes the value
 * later cannot overflow the stack.
 */

import { AppError, jsonPointer, withoutStacks } from '../../errors.ts';
import { isJson, type MediaType } from '../headers/media-type.ts';
import { parseQuery } from '../parameters/query.ts';
import { findJsonSyntaxError } from './json-syntax-error.ts';

/** The maximum nesting of arrays and objects. */
export const maxDepth = 100;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a body by its media type: JSON to its value, a urlencoded form to a record, text to a string, every other type to its
 * bytes. Throws AppError `malformed_body` with the place of the error.
 */
export function parseBody(bytes: Buffer, mediaType: MediaType): unknown {
  if (isJson(mediaType.type)) return parseJson(decode(bytes, mediaType));
  if (mediaType.type === 'application/x-www-form-urlencoded') return parseForm(decode(bytes, mediaType));
  if (mediaType.type.startsWith('text/')) return decode(bytes, mediaType);
  return bytes;
}

function decode(bytes: Buffer, { charset }: MediaType): string {
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new AppError('unsupported_media_type', 'The charset of the body must be UTF-8.');
  }
  try {
    return utf8.decode(bytes);
  } catch {
    throw new AppError('malformed_body', 'The body is not valid UTF-8.');
  }
}

function parseForm(text: string): unknown {
  const form = parseQuery(text);
  if (form === undefined) {
    throw new AppError('malformed_body', 'The form has a "%" that does not encode UTF-8 text.');
  }
  return form;
}

/** Parses JSON text. Throws AppError `malformed_body` with line and column of the first error. */
export function parseJson(text: string): unknown {
  if (text.length > 2 * maxDepth && isDeeperThan(text, maxDepth)) {
    throw new AppError('malformed_body', `The JSON is nested deeper than ${maxDepth} levels.`);
  }
  let value: unknown;
  try {
    value = withoutStacks(() => JSON.parse(text));
  } catch {
    const error = findJsonSyntaxError(text);
    const where =
      error && `: ${error.detail} at position ${error.position} (line ${error.line}, column ${error.column})`;
    throw new AppError('malformed_body', `The body is not valid JSON${where ?? ''}.`);
  }
  if (text.includes('"__proto__"') || text.includes('\\u')) checkDeeply(value, '');
  return value;
}

/** Returns whether brackets outside of strings nest deeper than `limit`. */
function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      // Skips a string to its closing quote; a backslash escapes the next character.
      for (at += 1; at < text.length && text.charCodeAt(at) !== 0x22; at += 1) {
        if (text.charCodeAt(at) === 0x5c) at += 1;
      }
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (code === 0x5d || code === 0x7d) {
      depth -= 1;
    }
  }
  return false;
}

/** Called only for text that has an escape or the name, so that an ordinary body does not pay for it. */
function checkDeeply(value: unknown, pointer: string): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw loneSurrogate(pointer);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      if (name === '__proto__') {
        throw new AppError(
          'malformed_body',
          `The JSON has a member named "__proto__" at ${JSON.stringify(shorten(pointer))}, which is not allowed.`,
        );
      }
      if (!name.isWellFormed()) throw loneSurrogate(pointer);
      checkDeeply(member, pointer + jsonPointer([name]));
    }
  }
}

function loneSurrogate(pointer: string): AppError {
  return new AppError(
    'malformed_body',
    `The JSON has half of a surrogate pair at ${JSON.stringify(shorten(pointer))}, which is not text.`,
  );
}

/** Shortens a pointer for a sentence. Its names come from the client and can have any length. */
function shorten(pointer: string): string {
  return pointer.length <= maxShown ? pointer : `${pointer.slice(0, maxShown).toWellFormed()}…`;
}
const maxShown = 200;
