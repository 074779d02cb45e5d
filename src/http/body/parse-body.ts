/**
 * From the bytes of a body to the value that its schema checks. JSON is read strictly: valid UTF-8, no lone
 * surrogates (RFC 8259, section 8.2), no member named `__proto__`, and nesting no deeper than any honest
 * document has, so that no later layer needs to fear its own recursion.
 */

import { AppError } from '../../errors.ts';
import { isJson, type MediaType } from '../headers/media-type.ts';
import { parseQuery } from '../query.ts';
import { findJsonSyntaxError } from './json-syntax-error.ts';

/** The deepest nesting of arrays and objects that is read. */
export const maxDepth = 100;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a body by its media type: JSON to its value, urlencoded to a record, text to a string, everything
 * else to its bytes. Throws AppError `malformed_body` that says where it is wrong.
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

/** Parses JSON text. Throws AppError `malformed_body` with line and column of the first fault. */
export function parseJson(text: string): unknown {
  if (text.length > 2 * maxDepth && isDeeperThan(text, maxDepth)) {
    throw new AppError('malformed_body', `The JSON is nested deeper than ${maxDepth} levels.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const fault = findJsonSyntaxError(text);
    const where =
      fault && `: ${fault.detail} at position ${fault.position} (line ${fault.line}, column ${fault.column})`;
    throw new AppError('malformed_body', `The body is not valid JSON${where ?? ''}.`);
  }
  if (text.includes('"__proto__"') || text.includes('\\u')) checkDeeply(value, '');
  return value;
}

/** Whether brackets nest deeper than `limit`, counted outside of strings. */
function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      // A string: skip to its closing quote, over escapes.
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

/** Only run on text that has an escape or the name, so that an ordinary body does not pay for it. */
function checkDeeply(value: unknown, pointer: string): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw loneSurrogate(pointer);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      if (name === '__proto__') {
        throw new AppError(
          'malformed_body',
          `The JSON has a member named "__proto__" at ${JSON.stringify(shorten(pointer))}, which is not taken.`,
        );
      }
      if (!name.isWellFormed()) throw loneSurrogate(pointer);
      checkDeeply(member, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    }
  }
}

function loneSurrogate(pointer: string): AppError {
  return new AppError(
    'malformed_body',
    `The JSON has half of a surrogate pair at ${JSON.stringify(shorten(pointer))}, which is not text.`,
  );
}

/** A pointer for a sentence; its names are the client's, and may have any length. */
function shorten(pointer: string): string {
  return pointer.length <= maxShown ? pointer : `${pointer.slice(0, maxShown).toWellFormed()}…`;
}
const maxShown = 200;
