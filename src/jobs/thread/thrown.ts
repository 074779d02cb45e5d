/**
 * What was thrown, as two bounded texts. JavaScript throws anything: an Error whose `message` is an object, a getter
 * that throws, a revoked proxy, a symbol, null, a text of 20 MB. Each property is therefore read on its own and at most
 * once, a read that fails counts as absent, and every text is cut.
 *
 * The functions here throw nothing, so whoever records a failure can rely on having something to record.
 */

import { boundedJson } from './bounded-json.ts';

/** The most UTF-16 units that are kept of a message, and of a stack together with those of its causes. */
export const maxMessage = 2_000;
export const maxStack = 10_000;

const maxCauses = 5;
const maxShown = 1_000;

export interface ThrownTexts {
  readonly message: string;
  /** Absent if it has none, such as what is no Error. */
  readonly stack?: string;
}

/** A message and a stack for anything that was thrown. */
export function describeThrown(thrown: unknown): ThrownTexts {
  if (!isError(thrown)) return { message: cutText(`Thrown was: ${show(thrown)}`, maxMessage) };
  const message = cutText(messageOf(thrown), maxMessage);
  const stack = stacksOf(thrown);
  return stack === '' ? { message } : { message, stack };
}

/** A text of at most `maxLength` UTF-16 units, with a note of how many were cut. */
export function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const note = ` ... (${text.length - maxLength} more characters were cut)`;
  return text.slice(0, maxLength - note.length) + note;
}

/** `instanceof` runs code of the value: a proxy, or a constructor's `Symbol.hasInstance`, may throw. */
export function isInstance<T>(value: unknown, of: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof of;
  } catch {
    return false;
  }
}

function isError(value: unknown): value is Error {
  return isInstance(value, Error);
}

/** A property of an object, undefined if reading it throws. */
export function readSafely(from: object, name: string): unknown {
  try {
    return Reflect.get(from, name);
  } catch {
    return undefined;
  }
}

function messageOf(error: Error): string {
  const message = readSafely(error, 'message');
  if (typeof message === 'string' && message !== '') return message;
  const name = readSafely(error, 'name');
  const kind = typeof name === 'string' && name !== '' ? name : 'Error';
  if (message === undefined || message === '') return kind;
  return `${kind}, with a message that is no text: ${show(message)}`;
}

function stacksOf(error: Error): string {
  let stacks = '';
  let each: unknown = error;
  for (let causes = 0; isError(each) && causes <= maxCauses && stacks.length < maxStack; causes += 1) {
    const stack = readSafely(each, 'stack');
    if (typeof stack === 'string' && stack !== '') {
      stacks += `${stacks === '' ? '' : '\nCaused by: '}${withShortHead(stack)}`;
    }
    each = readSafely(each, 'cause');
  }
  return cutText(stacks, maxStack);
}

/** A stack begins with the message: cuts a long one, so that the frames below it are kept. */
function withShortHead(stack: string): string {
  const frames = stack.indexOf('\n    at ');
  return frames <= maxMessage ? stack : cutText(stack.slice(0, frames), maxMessage) + stack.slice(frames);
}

/** A short text for any value. */
function show(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null)
    return typeof value === 'function' ? 'a function' : String(value);
  try {
    return boundedJson(value, maxShown) ?? 'an object';
  } catch {
    return 'an object that cannot be shown as JSON';
  }
}
