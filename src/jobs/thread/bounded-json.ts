/**
 * `JSON.stringify` with limits that hold while the text is written and not afterwards. A payload, a result or details
 * come from code that may hand over anything: a text of 100 MB, a Buffer, a circle, an array with a length of 4 billion.
 * Writing such a value first and measuring the text then takes the memory that the limit is meant to protect, and in a
 * thread a single allocation of that size ends the whole process.
 *
 * The text is the one that `JSON.stringify` returns, `toJSON` and boxed values included. Getters and `toJSON` run code
 * of the caller, so whatever they throw passes through.
 */

import { maxJsonDepth } from '../json-text.ts';

export class JsonLimitError extends Error {
  readonly limit: 'size' | 'depth';

  constructor(limit: 'size' | 'depth') {
    super(limit === 'size' ? 'It is too large as JSON.' : 'It is nested too deeply.');
    this.name = 'JsonLimitError';
    this.limit = limit;
  }
}

/**
 * The value as JSON text of at most `maxBytes` bytes; undefined where `JSON.stringify` returns undefined. Throws a
 * JsonLimitError, a TypeError for a BigInt, and whatever a getter, a proxy or a `toJSON` of the value throws.
 */
export function boundedJson(value: unknown, maxBytes: number): string | undefined {
  let left = maxBytes;
  const parts: string[] = [];

  function put(text: string): void {
    left -= Buffer.byteLength(text);
    if (left < 0) throw new JsonLimitError('size');
    parts.push(text);
  }

  function putText(text: string): void {
    // Each UTF-16 unit takes at least one byte, so a text this long is refused before it is copied.
    if (text.length > left) throw new JsonLimitError('size');
    put(JSON.stringify(text));
  }

  /** Writes what `JSON.stringify` writes for an item of an array: null for what has no form in JSON. */
  function write(given: unknown, depth: number): void {
    if (typeof given === 'string') putText(given);
    else if (typeof given === 'bigint') throw new TypeError('A BigInt has no form in JSON: give its text.');
    else if (typeof given !== 'object' || given === null)
      put(isWritten(given) ? JSON.stringify(given) : 'null');
    else if (depth === maxJsonDepth) throw new JsonLimitError('depth');
    else if (Array.isArray(given)) writeArray(given, depth + 1);
    else writeObject(given, depth + 1);
  }

  function writeArray(items: readonly unknown[], depth: number): void {
    put('[');
    for (let index = 0; index < items.length; index += 1) {
      if (index > 0) put(',');
      write(toPlain(items[index], String(index), maxBytes), depth);
    }
    put(']');
  }

  function writeObject(fields: object, depth: number): void {
    let separator = '{';
    for (const name of Object.keys(fields)) {
      const field = toPlain(Reflect.get(fields, name), name, maxBytes);
      if (!isWritten(field)) continue;
      put(separator);
      putText(name);
      put(':');
      write(field, depth);
      separator = ',';
    }
    put(separator === '{' ? '{}' : '}');
  }

  const plain = toPlain(value, '', maxBytes);
  if (!isWritten(plain)) return undefined;
  write(plain, 0);
  return parts.join('');
}

/** Whether a value has a form in JSON; a field without one is left out, and an item becomes null. */
function isWritten(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

/** The value that `toJSON` puts in its place, and the primitive of a boxed one. */
function toPlain(value: unknown, name: string, maxBytes: number): unknown {
  // The `toJSON` of a Buffer makes an array of all its bytes, which takes many times its size.
  if (ArrayBuffer.isView(value) && value.byteLength > maxBytes) throw new JsonLimitError('size');
  let plain = value;
  if ((typeof plain === 'object' && plain !== null) || typeof plain === 'bigint') {
    const toJson: unknown = Reflect.get(Object(plain), 'toJSON', plain);
    if (typeof toJson === 'function') plain = Reflect.apply(toJson, plain, [name]);
  }
  if (plain instanceof Number) return Number(plain);
  if (plain instanceof String) return String(plain);
  return plain instanceof Boolean || plain instanceof BigInt ? plain.valueOf() : plain;
}
