/**
 * `JSON.stringify` with limits that are enforced while the text is written. A payload, a result or details come from
 * code that may pass anything: a string of 100 MB, a Buffer, a circular reference, an array with a length of 4 billion.
 * Serialising such a value first and measuring afterwards uses the memory that the limit is meant to protect, and in a
 * thread a single allocation of that size crashes the whole process.
 *
 * The output is the same as that of `JSON.stringify`, including `toJSON` and boxed values. Getters and `toJSON` run
 * code of the caller, so their errors pass through.
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
 * Returns the value as JSON text of at most `maxBytes` bytes; undefined where `JSON.stringify` returns undefined.
 * Throws a JsonLimitError, a TypeError for a BigInt, and the errors of getters, proxies and `toJSON` of the value.
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
    // Each UTF-16 unit takes at least one byte, so a string that is too long is rejected before it is copied.
    if (text.length > left) throw new JsonLimitError('size');
    put(JSON.stringify(text));
  }

  /** Writes an item of an array as `JSON.stringify` does: null for a value that has no JSON form. */
  function write(given: unknown, depth: number): void {
    if (typeof given === 'string') putText(given);
    else if (typeof given === 'bigint')
      throw new TypeError('A BigInt has no JSON form: convert it to a string.');
    else if (typeof given !== 'object' || given === null)
      put(hasJsonForm(given) ? JSON.stringify(given) : 'null');
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
      if (!hasJsonForm(field)) continue;
      put(separator);
      putText(name);
      put(':');
      write(field, depth);
      separator = ',';
    }
    put(separator === '{' ? '{}' : '}');
  }

  const plain = toPlain(value, '', maxBytes);
  if (!hasJsonForm(plain)) return undefined;
  write(plain, 0);
  return parts.join('');
}

/** Returns whether a value has a JSON form. A property without one is left out, and an array item becomes null. */
function hasJsonForm(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

/** Returns the result of `toJSON` if there is one, and the primitive of a boxed value. */
function toPlain(value: unknown, name: string, maxBytes: number): unknown {
  // The `toJSON` of a Buffer returns an array of all its bytes, which needs many times its size.
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
